"""voxswap's own HTTP and WebSocket."""
