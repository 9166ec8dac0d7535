"""Whether a paper's folder is itself fair."""
