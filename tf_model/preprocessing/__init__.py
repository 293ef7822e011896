"""From raw strings to batches of token ids, in the TensorFlow graph and without TensorFlow."""
