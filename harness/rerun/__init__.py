"""Doing a submission's experiments again, on the harness's own seeds."""
