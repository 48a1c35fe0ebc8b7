"""What computes the rows of a run outside this process: the workers of a Ray cluster."""
