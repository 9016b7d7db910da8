"""Sweeps of settings and rank correlations: how numbers in the studies were chosen."""
