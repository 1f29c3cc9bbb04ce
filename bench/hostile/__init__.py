"""Generators of hostile inputs: pure, seeded, and without any code of the server."""
