"""Characters: decode the bytes of any file, and make any text safe to write or show."""

import codecs
import io
import re
from typing import TextIO

_SYMBOLS = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "␡"}
_OTHER_BYTE = re.compile("[\udc80-\udcff]")  # as Python's "surrogateescape" decodes it
# C1, and characters that change the direction of writing or end a line.
_UNPRINTABLE = re.compile("[\x80-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def text_stream(stream: io.BufferedReader) -> TextIO:
    """Decode ``stream`` as UTF-8, or as its byte order mark says, and keep its line endings.

    Bytes that are not UTF-8 become lone surrogates, which :func:`decode_other_bytes` reads. Bytes that contradict a
    byte order mark of UTF-16 become U+FFFD.
    """
    if stream.peek(2).startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return io.TextIOWrapper(stream, "utf-16", "replace", newline="")
    return io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")


def decode_other_bytes(text: str) -> str:
    """Read bytes that are not UTF-8 as Windows-1252, one by one, so that a text in both encodings is right."""
    return _OTHER_BYTE.sub(_as_windows_1252, text)


def _as_windows_1252(match: re.Match[str]) -> str:
    byte = match[0].encode("utf-8", "surrogateescape")
    return byte.decode("cp1252", "ignore") or byte.decode("latin-1")  # five bytes are undefined in Windows-1252


def well_formed(text: str) -> str:
    """``text`` with surrogate pairs joined and lone surrogates replaced by U+FFFD, so that UTF-8 can encode it."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def visible(text: str) -> str:
    """``text`` for a terminal: control characters, and so escape sequences, become harmless symbols."""
    return _UNPRINTABLE.sub("\ufffd", text.translate(_SYMBOLS))
