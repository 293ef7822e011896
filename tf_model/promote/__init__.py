"""Choose which saved model is in use, and keep its versions."""
