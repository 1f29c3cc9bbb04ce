"""Voices in memory under a byte budget: who has it, who waits for it, who leaves. Pure."""
