"""Export a trained classifier as a SavedModel with its artifacts, and restore it."""
