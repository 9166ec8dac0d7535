"""Tree search with and without backing up from the tree, on small Markov decision processes."""
