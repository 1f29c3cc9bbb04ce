"""Audio that was made before, kept for requests that would make it again."""
