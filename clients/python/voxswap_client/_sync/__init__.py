# Generated from _async/__init__.py by scripts/gen-client: change that one.
"""The blocking client. `scripts/gen-client` makes it from the asyncio one, `_async`."""
