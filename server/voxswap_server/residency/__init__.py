"""The ModelManager: which voices are in memory, under a byte budget."""
