"""The clean environment of the serve check and of the notebooks."""

from __future__ import annotations

import subprocess

import pytest

from research.tools import serve_check
from tf_model.errors import TweetTargetError


def test_a_clean_environment_holds_what_a_lock_pins_and_nothing_else(tmp_path):
    lock = tmp_path / "empty.lock"
    lock.write_text("", encoding="utf-8")
    python = serve_check.install(lock, tmp_path / "clean")
    assert subprocess.run([python, "-c", "import numpy"], capture_output=True, check=False).returncode == 1
    assert serve_check.size_of(tmp_path / "clean") == 0


def test_an_environment_that_cannot_be_built_says_why(tmp_path):
    with pytest.raises(TweetTargetError, match=r"-m pip --python .* failed: .*no-such\.lock"):
        serve_check.install(tmp_path / "no-such.lock", tmp_path / "clean")
