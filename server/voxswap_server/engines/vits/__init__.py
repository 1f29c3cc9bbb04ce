"""The VITS engine: one joint model, symbols to waveform."""
