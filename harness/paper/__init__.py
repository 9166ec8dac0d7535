"""What is to be reproduced: a paper's folder, its schema, its claims and its rubric."""
