"""Compiled kernels, exact sums, top-N and random numbers over plain arrays. No state."""
