"""The HTTP API: ``python -m tf_model.api``."""
