"""A saved model at work: predictions, attributions, and how they are shown."""
