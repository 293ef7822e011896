"""TensorFlow Serving: what it needs to serve a saved model, and a client with the interface of a local one.

:mod:`~tf_model.serving.layout` lays a model out as the server wants it (``python -m tf_model.serving``);
:mod:`~tf_model.serving.remote` is the client.
"""
