"""The asyncio client. `scripts/gen-client` makes the blocking one, `_sync`, from these files."""
