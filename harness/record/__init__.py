"""What is kept: the store of records, and its mirror in MLflow."""
