"""Benchmarks, one module each; the results are recorded in research/runs/."""
