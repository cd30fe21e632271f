"""What is simulated: processes, distributions, scores, reversal, time grids.

Mathematics only.  Nothing here loops over particles or imports a compiler: a
kernel is an ordinary Python function `(x, t, p)` that other rooms compile.
"""
