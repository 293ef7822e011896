"""Analyse a file of answered texts: corrected shares, changes over time, differences of selections, and themes.

Functions of ``rows`` take those of :func:`~tf_model.analysis.rows.analysed_rows`, whole or filtered; none changes them.
"""
