"""The public API of voxswap."""
