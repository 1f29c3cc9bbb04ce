"""The protocol of Cartesia: HTTP, and a WebSocket with contexts."""
