"""Audio: encoders, the streaming resampler, visemes. A leaf."""
