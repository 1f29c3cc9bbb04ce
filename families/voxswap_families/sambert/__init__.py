"""Sambert-HiFiGAN voices, as KAN-TTS trains them: symbols to mel frames, and frames to audio."""
