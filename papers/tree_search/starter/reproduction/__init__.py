"""A reproduction of tree search in reinforcement learning: run as `python -m reproduction RUN.json OUT/`."""
