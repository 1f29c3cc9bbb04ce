"""Hostile inputs by seed: few of them for the tests, many for `scripts/soak`."""
