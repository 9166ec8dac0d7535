"""Reproof: a benchmark harness that re-proves award-winning reinforcement-learning papers."""
