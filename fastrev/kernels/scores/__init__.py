"""Scores of whole tiles (x, t, p, out, work): data points, networks, tables."""
