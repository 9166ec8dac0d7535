"""Reward machines in an office: Q-learning, CRM and HRM on tables. Run as `python -m reproduction RUN.json OUT/`."""
