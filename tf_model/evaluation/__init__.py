"""How good a model is: metrics, calibration, comparisons, and where it errs."""
