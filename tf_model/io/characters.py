"""Characters: decode the bytes of any file, and make any text safe to write or show."""

import codecs
import io
import re
from typing import TextIO

_FALLBACK = "tf_model_windows_1252"
_SYMBOLS = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "␡"}
# C1, and characters that change the direction of writing or end a line.
_UNPRINTABLE = re.compile("[\x80-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def text_stream(stream: io.BufferedReader, errors: str = _FALLBACK) -> TextIO:
    """Decode ``stream`` as UTF-8, or as its byte order mark says, and keep its line endings.

    Bytes that are not UTF-8 are read one by one as Windows-1252, so that a file with both encodings is read correctly.
    Bytes that contradict a byte order mark of UTF-16 become U+FFFD.
    """
    codecs.register_error(_FALLBACK, _as_windows_1252)
    if stream.peek(2).startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return io.TextIOWrapper(stream, "utf-16", "replace", newline="")
    return io.TextIOWrapper(stream, "utf-8-sig", errors, newline="")


def is_unicode(stream: io.BufferedReader) -> bool:
    """Whether all of ``stream`` is UTF-8, or begins with a byte order mark of UTF-16."""
    text = text_stream(stream, "strict")
    try:
        while text.read(2**20):
            pass
    except UnicodeDecodeError:
        return False
    return True


def _as_windows_1252(error: UnicodeDecodeError) -> tuple[str, int]:
    content = error.object[error.start : error.end]
    # Five bytes are undefined in Windows-1252; they are read as Latin-1.
    return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in content), error.end


def well_formed(text: str) -> str:
    """``text`` with surrogate pairs joined and lone surrogates replaced by U+FFFD, so that UTF-8 can encode it."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def visible(text: str) -> str:
    """``text`` for a terminal: control characters, and so escape sequences, become harmless symbols."""
    return _UNPRINTABLE.sub("\ufffd", text.translate(_SYMBOLS))
