"""VITS: one joint model from symbols to a waveform; Piper's and Hugging Face's voices."""
