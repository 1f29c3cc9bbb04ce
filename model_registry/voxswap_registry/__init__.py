"""The durable side of voxswap: manifests, blobs, versions and importers."""
