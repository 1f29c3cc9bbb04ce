"""EmotiVoice: a joint acoustic model and vocoder, and an encoder of how a line is to be said."""
