"""The trained model that these tests are about."""

import pytest

from tf_model import data, paths, tasks
from tf_model.inference.predictor import Predictor


@pytest.fixture(scope="session")
def predictor() -> Predictor:
    folder = paths.SAVED_MODELS / tasks.ANSWER
    if not folder.is_dir():
        pytest.skip("no saved_models/answer; run `make answer`")
    loaded = Predictor.load(folder)
    if loaded.metrics.get("dataset") != data.ASSIGNMENT:
        pytest.skip("saved_models/answer was not trained on the real data; run `make answer`")
    return loaded
