"""Monitoring: every prediction, error and correction is kept, counted, compared with what was expected and reported.

:mod:`~tf_model.monitor.recorder` writes in the background into the log of :mod:`~tf_model.monitor.store`.
:mod:`~tf_model.monitor.accuracy` and :mod:`~tf_model.monitor.drift` judge what was counted, and
:mod:`~tf_model.monitor.report` puts it into words.
"""
