"""Inputs that a stranger could make, from a seed: few of them for tests, many for soaking."""
