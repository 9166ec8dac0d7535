"""The clean room: untrusted code runs here, measured and contained, and nowhere else."""
