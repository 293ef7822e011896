"""Errors that a user can act on, each in one line: what was expected, what came instead, what to do next."""

import difflib
import re
from collections.abc import Iterable


class TweetTargetError(Exception):
    """Base of the errors that the command lines print without a traceback, exiting with ``exit_code``."""

    exit_code = 1


class DataError(TweetTargetError):
    """The data cannot be found, read or used."""


class ModelError(TweetTargetError):
    """A backbone or a saved model cannot be found, loaded or used."""


class OutputError(TweetTargetError):
    """A result cannot be written: it exists already, the disk is full, or writing is not permitted."""


class UsageError(TweetTargetError):
    """The command line or a training configuration asks for something impossible."""

    exit_code = 2


def quoted(value: object) -> str:
    """``value`` in quotes, on one line, cut to 60 characters."""
    text = str(value)
    return repr(text if len(text) <= 60 else text[:57] + "...")


def listed(names: Iterable[object], most: int = 20) -> str:
    """Names in quotes with commas between them; only the first ``most`` of a long list, ``"none"`` of an empty one."""
    names = list(names)
    ending = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(quoted(name) for name in names[:most]) or "none") + ending


def close_names(name: str, candidates: Iterable[str], most: int = 1) -> list[str]:
    """The known names that look like ``name``, whatever their case, the most similar first."""
    by_lower_case = {each.lower(): each for each in candidates}
    return [by_lower_case[key] for key in difflib.get_close_matches(name.lower(), by_lower_case, n=most)]


def plural(count: int, one: str, many: str) -> str:
    """``one`` for a count of 1, else ``many``."""
    return one if count == 1 else many


def count_of(count: int, noun: str) -> str:
    """``count`` with its noun, such as "1 row" and "2,000 rows"."""
    return f"{count:,} {plural(count, noun, f'{noun}s')}"


# What TensorFlow writes around a message: "{{function_node ...}} message [Op:SaveV2]".
_OPERATION = re.compile(r"\{\{.*?\}\}\s*|\s*\[Op:\w+\].*$")


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or the name of its class if the message is empty."""
    return _OPERATION.sub("", (str(error).strip() or type(error).__name__).splitlines()[0])
