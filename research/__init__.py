"""The evidence: benchmarks and experiments. Uses tf_model; nothing uses it."""
