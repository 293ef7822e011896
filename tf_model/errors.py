"""Errors that a user can act on.

Each message is one line that says what was expected, what came instead and what to do next. The command lines
print it without a traceback and exit with :attr:`TweetTargetError.exit_code`.
"""


class TweetTargetError(Exception):
    """Base of every error that is explained to the user rather than shown as a traceback."""

    exit_code = 1


class DataError(TweetTargetError):
    """The data cannot be found, read or used."""


class ModelError(TweetTargetError):
    """A backbone or a saved model cannot be found, loaded or used."""


class OutputError(TweetTargetError):
    """A result cannot be written: it exists already, the disk is full, or writing is not permitted."""


class UsageError(TweetTargetError):
    """The command line or a recipe asks for something impossible."""

    exit_code = 2
