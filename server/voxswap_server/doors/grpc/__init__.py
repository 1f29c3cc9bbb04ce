"""gRPC: thin servicers, the only place where protobuf meets the domain."""
