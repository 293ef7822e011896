"""Bytes of any encoding become text, and text becomes what can be written and shown."""

import io

from tf_model.io import characters


def test_bytes_that_contradict_their_mark():
    content = "a".encode("utf-16") + b"\x00\xd8" + b"b\0"  # half a surrogate pair
    assert characters.text_stream(io.BufferedReader(io.BytesIO(content))).read() == "a\ufffdb"


def test_well_formed():
    assert characters.well_formed("\ud83d\ude00 \ud83d é") == "😀 \ufffd é"


def test_visible():
    assert characters.visible("a\x1b[31m\r\n\x7f\x9b\u202eé😀") == "a␛[31m␍␊␡\ufffd\ufffdé😀"
