"""TensorFlow Serving: the folder that it serves (:mod:`layout`) and a client of it (:mod:`remote`)."""
