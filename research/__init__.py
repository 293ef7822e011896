"""Benchmarks and experiments. They use tf_model; nothing uses them."""
