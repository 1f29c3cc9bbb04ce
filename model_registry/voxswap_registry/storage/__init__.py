"""Where the registry's bytes lie: objects by key, in a folder or a bucket, and a cache on disk."""
