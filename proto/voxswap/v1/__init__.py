"""Generated code of the public API; see the .proto files beside it."""
