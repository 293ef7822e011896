"""Bytes of any encoding become text, and text becomes what can be written and shown."""

import io

import pytest

from tf_model.io import characters


def stream(content: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(content))


def decode(content: bytes) -> str:
    return characters.decode_other_bytes(characters.text_stream(stream(content)).read())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_with_or_without_a_mark(encoding):
    content = "café\r\n“x”\u2028😀".encode(encoding)
    assert decode(content) == "café\r\n“x”\u2028😀"


def test_utf_8_and_windows_1252_in_one_line():
    content = "café ".encode() + "café “x”".encode("cp1252") + b" \x81"
    assert decode(content) == "café café “x” \x81"


def test_bytes_that_contradict_their_mark():
    content = "a".encode("utf-16") + b"\x00\xd8" + b"b\0"  # half a surrogate pair
    assert decode(content) == "a\ufffdb"


def test_well_formed():
    assert characters.well_formed("\ud83d\ude00 \ud83d é") == "😀 \ufffd é"


def test_visible():
    assert characters.visible("a\x1b[31m\r\n\x7f\x9b\u202eé😀") == "a␛[31m␍␊␡\ufffd\ufffdé😀"
