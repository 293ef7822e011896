"""The real command of the API in a process of its own, how to ask it, and how to compare its answers."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import urllib3

from tf_model import paths

CONNECTIONS = 50


@dataclass(frozen=True)
class Api:
    """A running API."""

    process: subprocess.Popen
    log: Path
    connections: urllib3.HTTPConnectionPool  # to its address; closed ones are opened again

    def post(self, **body: Any) -> urllib3.BaseHTTPResponse:
        """The response of ``/predict`` to a request with ``body=bytes`` or ``json=object``."""
        headers = {"Content-Type": "application/json"}
        return self.connections.request("POST", "/predict", headers=headers, retries=False, timeout=20, **body)

    def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        """The predictions for these texts; AssertionError for another status than 200."""
        response = self.post(json={"texts": texts})
        assert response.status == 200, response.data
        return response.json()["predictions"]


@contextmanager
def running_api(model: Path, *options: str, folder: Path = paths.ROOT) -> Iterator[Api]:
    """Run the code of ``folder`` on a free port; it is terminated at the end."""
    command = [sys.executable, "-m", "tf_model.api", "--port", "0", "--model", model, *options]
    with (
        tempfile.NamedTemporaryFile() as log,  # not a pipe: nobody reads while it runs
        subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as process,
    ):
        try:
            while not (found := re.search(r"^serving .* at (\S+)\n", Path(log.name).read_text(), re.MULTILINE)):
                assert process.poll() is None, Path(log.name).read_text()
                time.sleep(0.05)
            with urllib3.connection_from_url(found[1], maxsize=CONNECTIONS) as connections:
                yield Api(process, Path(log.name), connections)
        finally:
            process.terminate()


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Compare predictions; float32 sums depend on the order, so the last digits of confidences may differ."""
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=0, atol=1e-5)
