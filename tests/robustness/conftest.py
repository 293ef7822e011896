"""The model whose robustness is tested: ``saved_models/answer``, or else ``product``."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.robustness.api_process import Api, running_api
from tf_model.inference.predictor import find_model


@pytest.fixture(scope="session")
def model() -> Path:
    return find_model(None)


@pytest.fixture(scope="module")
def api(model: Path) -> Iterator[Api]:
    with running_api(model) as running:
        yield running
