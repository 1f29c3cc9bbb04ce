"""Kokoro: a base that voices share, and a style for each of them."""
