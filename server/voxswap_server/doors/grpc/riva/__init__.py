"""NVIDIA Riva's protocol, for clients that speak it already."""
