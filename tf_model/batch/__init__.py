"""Prediction for files of any size on Ray, on all cores of a machine or on a cluster."""
