"""Changing voices while the server runs: publishing, labels, self-tests, uploads."""
