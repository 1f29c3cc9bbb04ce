"""Generated code of it; see the .proto file beside it."""
