"""Layers that families share, in C++ for the processor at hand."""
