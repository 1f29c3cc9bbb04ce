"""The protocol of ElevenLabs: HTTP, and WebSockets with contexts."""
