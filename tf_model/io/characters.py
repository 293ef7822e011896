"""Characters: from the bytes of any file to text, and from any text to what can be written or shown."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO, TextIO

from tf_model.errors import DataError

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FALLBACK = "tf_model_windows_1252"
_BLOCK = 2**20  # bytes

# C0, DEL, C1, and the characters that turn the direction of writing or end a line.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def decoded(stream: BinaryIO, strict: bool = False) -> TextIO:
    """The characters of ``stream``, with line endings left as they are: UTF-8, or what its byte order mark says.

    Bytes that are not UTF-8 are read as Windows-1252, one by one, so that a file in which both are mixed is right.

    Args:
        stream: Bytes from the beginning of a file.
        strict: Whether bytes that contradict a byte order mark of UTF-16 or UTF-32 raise ``UnicodeDecodeError`` when
            they are read; otherwise they become U+FFFD.
    """
    codecs.register_error(_FALLBACK, _as_windows_1252)
    if not hasattr(stream, "peek"):
        stream = io.BufferedReader(stream)  # type: ignore[arg-type]
    encoding = _marked_encoding(stream.peek(4))  # type: ignore[attr-defined]
    if encoding:
        return io.TextIOWrapper(stream, encoding, errors="strict" if strict else "replace", newline="")
    return io.TextIOWrapper(stream, "utf-8-sig", errors=_FALLBACK, newline="")


def numbered_lines(lines: Iterable[str], name: str) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, line) of the lines of a text that is called ``name`` in messages.

    Raises:
        DataError: A line holds a NUL character.
    """
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            raise DataError(
                f"{name}, line {number}: expected text, found a NUL character: this is not a text file, it is UTF-16 "
                "without a byte order mark, or it is damaged; save it as UTF-8"
            )
        yield number, line


def is_unicode(stream: BinaryIO) -> bool:
    """Whether all of ``stream`` is UTF-8, or it begins with a byte order mark of UTF-16 or UTF-32."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    block = stream.read(_BLOCK)
    if _marked_encoding(block):
        return True
    try:
        while block:
            decoder.decode(block)
            block = stream.read(_BLOCK)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _marked_encoding(beginning: bytes) -> str | None:
    return next((encoding for mark, encoding in _BYTE_ORDER_MARKS if beginning.startswith(mark)), None)


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    characters = []
    for byte in error.object[error.start : error.end]:
        one = bytes([byte])
        try:
            characters.append(one.decode("cp1252"))
        except UnicodeDecodeError:  # five bytes have no meaning in Windows-1252
            characters.append(one.decode("latin-1"))
    return "".join(characters), error.end


def well_formed(text: str) -> str:
    """``text`` with surrogate pairs joined and lone surrogates as U+FFFD, so that it can be encoded as UTF-8."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def visible(text: str) -> str:
    """``text`` for a terminal: control characters, escape sequences included, as symbols that do nothing."""

    def symbol(found: re.Match[str]) -> str:
        code = ord(found[0])
        return chr(0x2400 + code) if code < 0x20 else "␡" if code == 0x7F else "\ufffd"

    return _UNPRINTABLE.sub(symbol, text)
