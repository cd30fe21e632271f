"""The Fokker-Planck equation on a line or a plane: densities without a particle.

    dp/dt = -div (f p) + 1/2 sum_k d^2/dx_k^2 (a_k p),   a = G G^T diagonal (Ito)

and, for a process made by `reverse`, that of its reverse run, from T down.  Finite volumes with
the fluxes of Chang and Cooper and implicit Euler steps, coordinate after coordinate: mass is
kept to rounding and densities stay positive, whatever the step.  The error is of first order in
the time step and of second in the cell, of first where there is no noise.

`solver` checks and steps, `equation` gives velocities and diffusivities, `chang_cooper` the
fluxes, `start` the masses of p0, `densities` what comes out.
"""

from fastrev.analysis.fokker_planck.densities import Densities, Law
from fastrev.analysis.fokker_planck.solver import discretisation, solve

__all__ = ["Densities", "Law", "discretisation", "solve"]
