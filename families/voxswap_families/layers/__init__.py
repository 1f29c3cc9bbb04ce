"""Layers that families share, in torch."""
