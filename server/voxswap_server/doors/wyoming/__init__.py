"""Wyoming, the protocol of Home Assistant and of voice satellites, over TCP."""
