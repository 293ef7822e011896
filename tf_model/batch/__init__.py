"""Engines that score many texts at once, on all cores of a machine or on a cluster.

An engine cuts the input into parts (:mod:`~tf_model.batch.parts`), lets workers score them with
``predict``, and keeps account of what is done (``ledger``), so that a
job that was stopped goes on where it was. :mod:`~tf_model.batch.ray_data` runs it on Ray Data.
"""
