"""Open-loop oscillators on the Swimmer: plans, a fleet of bodies, and a search by a Gaussian process."""
