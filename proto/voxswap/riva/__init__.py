"""NVIDIA Riva's text-to-speech protocol."""
