"""The protocol of OpenAI's `audio/speech`, with what self-hosted servers add to it."""
