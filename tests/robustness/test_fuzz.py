"""Run by ``make fuzz``: damaged files for ``predict`` and the app's upload, odd texts and bodies for model and API.

Required are an answer or an error of one line, no crash, no hang, nothing left behind, and the same answer to a text
alone, among others, and over HTTP. ``FILES`` and ``TEXTS`` in the environment change the numbers. A failure is repeated
by the next run; after a crash or a hang, the file is in pytest's temporary folder.
"""

from __future__ import annotations

import faulthandler
import io
import json
import os
import resource
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from streamlit_app.components.files import read_upload
from tests.robustness.api_process import assert_same
from tf_model import predict
from tf_model.errors import DataError, TweetTargetError
from tf_model.inference.predictor import Predictor
from tf_model.io import tables
from tf_model.io.characters import well_formed

pytestmark = [pytest.mark.robustness, pytest.mark.timeout(0)]

FILES, TEXTS = int(os.environ.get("FILES", 100_000)), int(os.environ.get("TEXTS", 20_000))
HANG_SECONDS = 20
MEMORY = 8 * 2**30  # bytes of the process
BATCH = 10  # texts that are predicted together
SUFFIXES = (".csv", ".tsv", ".jsonl", ".txt", ".xlsx", ".parquet")
WORDS = ("iPad ", "iPhone", "Android, ", "love ", "hate", "crashes ", "#sxsw", "@user ", "RT ", "[MASK]", "\x02", " ")
BYTES = (b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b'"', b"\r", b"\n", b"\xef\xbb\xbf", b"\xff\xfe")
SETTINGS = settings(deadline=None, suppress_health_check=[*HealthCheck])

# Where an edit begins, as a share of the bytes; how many it takes away; what it puts there; how often it repeats these.
EDIT = st.tuples(
    st.floats(0, 1),
    st.sampled_from((0, 1, 2, 4, 30, 300, 10**9)),
    st.sampled_from((b"", *BYTES, b"{[")) | st.binary(max_size=300),
    st.sampled_from((0, 0, 1, 2, 50)),
)
EDITS = st.lists(EDIT, min_size=1, max_size=20)
CHARACTERS = st.characters() | st.characters(categories=["Cs"])  # lone surrogates are no Unicode text
PIECES = st.sampled_from(WORDS) | st.builds(str.__mul__, CHARACTERS, st.sampled_from((1, 1, 2, 40)))
ODD_TEXTS = st.builds(str.__mul__, st.lists(PIECES).map("".join), st.sampled_from((1, 1, 1, 20)))


def damaged(content: bytes, edits: list[tuple[float, int, bytes, int]]) -> bytes:
    for place, length, inserted, times in edits:
        start = int(place * len(content))
        end = start + length
        content = content[:start] + inserted + content[start:end] * times + content[end:]
    return content


def damaged_member(content: bytes, edits: list[tuple[float, int, bytes, int]], number: int) -> bytes:
    """A zip archive with damage inside one of its members."""
    archive = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        for name in names:
            is_chosen = name == names[number % len(names)]
            new.writestr(name, damaged(old.read(name), edits) if is_chosen else old.read(name))
    return archive.getvalue()


@pytest.fixture
def sound(request, tmp_path) -> bytes:
    """A sound file of a format: ids, texts, dates, numbers and, where it can hold them, lists."""
    texts = ["I love my new iPad", 'the "app" crashes, again', "", "café 🎉\r\nnext line", "x" * 300, "=1+1"]
    if request.param == ".txt":
        return "\n".join(texts).encode()
    frame = pd.DataFrame({"id": range(len(texts)), "text": texts, "score": [0.5, None, 1e300, -0.0, 3, 4]})
    frame["when"] = pd.date_range("2011-03-11", periods=len(texts))
    if request.param in (".jsonl", ".parquet"):
        frame["tags"] = [["a", "b"], [], None, ["é"], ["c"] * 9, ["d"]]
    path = tmp_path / f"sound{request.param}"
    with tables.table_writer(path) as writer:
        writer.write(frame)
    return path.read_bytes()


@pytest.fixture
def limited(model, monkeypatch) -> Iterator[None]:
    """One model for all files, and a limit to the memory of the process."""
    predictor = Predictor.load(model, threads=1)
    monkeypatch.setattr(predict, "_load", lambda _: predictor)
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def upload_problem(source: Path) -> str:
    """Why the app refuses the file; empty if it does not."""
    try:
        read_upload(source, source.name)
    except DataError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("sound", "suffix"), [(suffix, suffix) for suffix in SUFFIXES], indirect=["sound"])
@settings(SETTINGS, max_examples=max(FILES // len(SUFFIXES), 1))
@given(edits=EDITS, member=st.none() | st.integers(0, 20), ending=st.sampled_from(tables.OUTPUT_SUFFIXES))
def test_a_damaged_file_is_answered_or_refused_in_one_line(
    limited, tmp_path, monkeypatch, sound, suffix, edits, member, ending
):
    folder, errors = tmp_path / "damaged", io.StringIO()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    source, output = folder / f"input{suffix}", folder / f"output{ending}"
    is_inside = suffix == ".xlsx" and member is not None
    source.write_bytes(damaged_member(sound, edits, member) if is_inside else damaged(sound, edits))
    expected, refused = {source}, ""
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
    try:
        with redirect_stderr(errors):
            problem = upload_problem(source)
            predict.main([str(source), "--output", str(output)])
        expected.add(output)
    except (TweetTargetError, MemoryError) as error:
        refused = str(error)
    finally:
        faulthandler.cancel_dump_traceback_later()
    event("refused" if refused else "answered")
    event("upload refused" if problem else "upload taken")
    assert "\n" not in refused + problem
    assert "Traceback" not in errors.getvalue()
    assert {*folder.iterdir()} == expected


@pytest.fixture(scope="module")
def predictor(model) -> Predictor:
    return Predictor.load(model)


@settings(SETTINGS, max_examples=max(TEXTS // BATCH, 1))
@given(texts=st.lists(ODD_TEXTS, min_size=BATCH, max_size=BATCH), edits=EDITS)
def test_an_odd_text_gets_the_same_answer_alone_among_others_and_over_http(predictor, api, texts, edits):
    together = predictor.predict(texts)
    assert_same(pd.concat([predictor.predict([text]) for text in texts], ignore_index=True), together)
    # A lone surrogate is not JSON text: the API refuses it, so it is sent as U+FFFD.
    assert_same(pd.DataFrame(api.predict([well_formed(text) for text in texts])), together)
    assert api.post(body=damaged(json.dumps({"texts": texts[:3]}).encode(), edits)).status < 500
