"""A participant at work: the task, its workspace, the ledger and the submission."""
