"""Engines that score many texts at once, on all cores of a machine or on a cluster.

An engine cuts the input into parts (:mod:`~tf_model.engines.parts`), lets workers score them with
:func:`tf_model.predict.predict_texts`, and keeps account of what is done (:mod:`~tf_model.engines.ledger`), so that a
job that was stopped goes on where it was. :mod:`~tf_model.engines.ray_data` runs it on Ray Data.
"""
