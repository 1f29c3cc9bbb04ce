"""Cutting texts into what is spoken in one go."""
