"""Fitting a classifier: epochs, checkpoints, cross-validation."""
