"""How good a model is: metrics, calibration, comparisons, and what saved models say of themselves."""
