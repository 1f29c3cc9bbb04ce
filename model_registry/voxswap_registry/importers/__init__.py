"""Importers: where foreign, untrusted checkpoints are read and converted."""

from voxswap_registry.importers.detect import import_voice

__all__ = ["import_voice"]
