"""A trained classifier as a SavedModel with its artifacts, and back again."""
