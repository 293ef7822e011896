"""Run a saved model: predictions, word attributions, and their display."""
