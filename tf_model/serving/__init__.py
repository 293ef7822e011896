"""TensorFlow Serving: the folder that it serves (:mod:`layout`) and a client (:mod:`remote`)."""
