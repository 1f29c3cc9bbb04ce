"""Hostile inputs, by seed: for the tests in small numbers, for `scripts/soak` in large ones."""
