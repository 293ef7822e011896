"""The pages: what is shown. What is computed lives in :mod:`tf_model`."""
