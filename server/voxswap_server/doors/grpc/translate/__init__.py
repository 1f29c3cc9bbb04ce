"""Between messages and what the house understands, both ways."""
