"""Many attempts as one plan: asked for at once, carried out one after another, resumed after anything."""
