"""What truly differs between the two clients, under the same names: `aio` and `threads`."""
