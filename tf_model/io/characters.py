"""Characters: from the bytes of any file to text, and from any text to what can be written or shown."""

from __future__ import annotations

import codecs
import io
import re
from typing import BinaryIO, TextIO

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FALLBACK = "tf_model_windows_1252"
_UNDEFINED = b"\x81\x8d\x8f\x90\x9d"  # in Windows-1252
_BLOCK = 2**20  # bytes

# C0, DEL, C1, and the characters that turn the direction of writing or end a line.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def decoded(stream: BinaryIO) -> TextIO:
    """The characters of ``stream``, with line endings left as they are: UTF-8, or what its byte order mark says.

    Bytes that are not UTF-8 are read as Windows-1252, one by one, so that a file in which both are mixed is right.
    Bytes that contradict a byte order mark of UTF-16 or UTF-32 become U+FFFD.
    """
    codecs.register_error(_FALLBACK, _as_windows_1252)
    if not hasattr(stream, "peek"):
        stream = io.BufferedReader(stream)  # type: ignore[arg-type]
    encoding = _marked_encoding(stream.peek(4))  # type: ignore[attr-defined]
    errors = "replace" if encoding else _FALLBACK
    return io.TextIOWrapper(stream, encoding or "utf-8-sig", errors, newline="")


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


def _as_windows_1252(error: UnicodeDecodeError) -> tuple[str, int]:
    content = error.object[error.start : error.end]
    return "".join(chr(byte) if byte in _UNDEFINED else bytes([byte]).decode("cp1252") for byte in content), error.end


def well_formed(text: str) -> str:
    """``text`` with surrogate pairs joined and lone surrogates as U+FFFD, so that it can be encoded as UTF-8."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def visible(text: str) -> str:
    """``text`` for a terminal: control characters, escape sequences included, as symbols that do nothing."""

    def symbol(match: re.Match[str]) -> str:
        code = ord(match[0])
        return chr(0x2400 + code) if code < 0x20 else "␡" if code == 0x7F else "\ufffd"

    return _UNPRINTABLE.sub(symbol, text)
