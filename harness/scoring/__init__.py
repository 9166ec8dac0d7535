"""How faithful a reproduction is: the statistics, the graded rubric, and their explanation."""
