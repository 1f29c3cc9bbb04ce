"""Every voice of a registry at hand: an index that outlives restarts, and what keeps it fresh."""
