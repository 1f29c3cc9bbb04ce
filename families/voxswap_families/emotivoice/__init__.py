"""Voices of EmotiVoice: a style in words, and thousands of speakers on one model."""
