"""The voxswap server: thousands of voices, hot-swapped, over gRPC."""
