"""English: how what is written is read aloud, and front-ends without espeak-ng."""
