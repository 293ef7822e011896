"""TensorFlow Serving: the folder that it serves (the command) and a client (:mod:`remote`)."""
