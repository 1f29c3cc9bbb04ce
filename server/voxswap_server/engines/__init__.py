"""Engines turn symbols and controls into audio. They own no threads, no cache, no clock."""
