"""Prediction on Ray for files of any size, on all cores of a machine or on a cluster."""
