"""A reproduction of reward machines: run as `python -m reproduction RUN.json OUT/`."""
