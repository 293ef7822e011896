"""Which saved model is in use, and its versions."""
