"""Hostile inputs: pure, seeded generators, and what it takes to try them."""
