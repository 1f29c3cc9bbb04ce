"""Text: segmentation, normalisation, front-ends. A leaf."""
