"""Hostile inputs, by seed: for the tests, in small numbers, and for `scripts/soak`, in large ones."""
