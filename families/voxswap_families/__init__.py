"""What model families are, and those that come with voxswap."""
