"""The house put together: settings, metrics, persistence, the way up and the way down."""
