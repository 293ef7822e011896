"""Monitoring: count predictions, log errors and corrections, compare with a reference, and report.

:mod:`~tf_model.monitor.recorder` writes to the log of :mod:`~tf_model.monitor.store` in the background.
:mod:`~tf_model.monitor.accuracy` and :mod:`~tf_model.monitor.drift` judge the counts, and
:mod:`~tf_model.monitor.report` makes a report of them.
"""
