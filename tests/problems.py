"""SDEs with exact laws, and what is wrong on purpose.

Laws: Song et al. 2021 (arXiv:2011.13456), appendix B; Gardiner, Handbook of
Stochastic Methods, 3rd ed., sections 3.8.1 and 3.8.4.
"""

import fastrev as fr

MIXTURE = fr.GaussianMixture([0.3, 0.5, 0.2], [-2.0, 0.0, 1.5], [0.3, 0.2, 0.25])

GAUSSIAN_PROBLEMS = {
    "brownian": (fr.Brownian(0.5), fr.Gaussian(0.3, 0.5), 1.0),
    "ornstein-uhlenbeck": (fr.OrnsteinUhlenbeck(1.5, 0.8, mu=0.4), fr.Gaussian(-1.0, 0.6), 1.0),
    "vp": (fr.VP(), fr.Gaussian(0.5, 0.5), 1.0),
    "sub-vp": (fr.SubVP(), fr.Gaussian(0.5, 0.5), 1.0),
    "ve": (fr.VE(0.01, 5.0), fr.Gaussian(0.5, 0.5), 1.0),
}
"""name -> process, p0, T"""


def no_score(x, t, p):
    """Naive reversal: the drift is kept, the score left out."""
    return 0.0


def naive_reversal(process):
    """The negative control: it does not return where the forward process came from."""
    return fr.reverse(process, fr.Score(no_score))


def brownian_config(**run):
    """A configuration file of Brownian motion from N(0, 1)."""
    lines = "".join(f"{name} = {value}\n" for name, value in run.items())
    return f'[process]\nkind = "Brownian"\nD = 0.5\n\n[x0]\nkind = "Gaussian"\n\n[run]\n{lines}'
