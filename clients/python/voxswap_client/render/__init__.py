"""What `voxswap render` knows without a server or a disk: scripts, file names, order, results."""
