"""What importers share: foreign, untrusted checkpoints are read and converted."""
