"""Hostile inputs, made from seeds: for the tests in small numbers, for the soak in large ones."""
