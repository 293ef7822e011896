"""Monitoring: every prediction, error and correction is kept, counted, compared with what was expected and reported.

:mod:`~tf_model.monitor.recorder` writes in the background into the log, :mod:`~tf_model.monitor.store` reads it back.
:mod:`~tf_model.monitor.accuracy` and :mod:`~tf_model.monitor.drift` judge what is in it, and
:mod:`~tf_model.monitor.report` says it in words.
"""
