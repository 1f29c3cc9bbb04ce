"""Clips that strangers send: looked at, decoded in a process of its own, and judged."""
