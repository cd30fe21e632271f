"""How one tile of particles steps: compilation, random numbers, steppers, the tile loop.

Imports NumPy and Numba only.  `time` in every kernel is the forward time t.
"""
