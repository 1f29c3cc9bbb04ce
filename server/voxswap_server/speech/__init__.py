"""From a request to audio: segments, steps, chunks."""
