"""The shapes of servers that game mods call."""
