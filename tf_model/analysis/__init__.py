"""What a file of answered texts says: honest shares, what changed, how two selections differ, and the themes.

Every function takes the rows of :func:`tf_model.analysis.rows.rows_of`, whole or filtered, and never changes them.
"""
