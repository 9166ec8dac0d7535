"""A reproduction of Persistent Evolution Strategies: influence balancing and the toy regression."""
