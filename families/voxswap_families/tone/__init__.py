"""Tone: formant synthesis of symbols, without weights; for tests, demos, and as an example."""
