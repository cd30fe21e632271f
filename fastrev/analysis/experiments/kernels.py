"""Wrong scores, for configurations to name."""


def share_of_score(x, t, p):  # type: ignore[no-untyped-def]
    """`share` times the score -x/(2Dt) of Brownian motion from the origin; 1 is right."""
    return -p.share * x / (2.0 * p.D * t)
