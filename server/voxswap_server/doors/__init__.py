"""How requests come in. A door translates, and decides nothing."""
