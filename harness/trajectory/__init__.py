"""What an agent did, told from the exchanges that the proxy kept: one format for all of them, ATIF."""
