"""Environments that the harness owns: stepped in a process of ours, shown to the clean room as plain Gymnasium."""
