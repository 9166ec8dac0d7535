"""An attempt that others can verify: packed into one checked file, rerun and scored again elsewhere."""
