"""Kernels of our own for CPUs: C++ with a C ABI, compiled for what a processor has."""
