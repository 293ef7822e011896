"""What the tests of the research pages share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from model_folders import eagerly

from research import ablation, baselines, compare, label_quality, learning_curve, runs, study, variants
from tf_model import data, paths, tasks
from tf_model.evaluation import metrics
from tf_model.modeling import classifier
from tf_model.training.cross_validation import FOLD_SEED


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch) -> None:
    """Intervals of fewer resamples: 9,999 take a twentieth of a second each, hundreds of times."""
    monkeypatch.setattr(metrics, "RESAMPLES", 99)


@pytest.fixture(scope="module")
def without_graphs() -> Iterator[None]:
    """Trainings without a graph, which takes longer to make than few steps save."""
    compile_model = classifier.compile_model

    def compile_eagerly(model, *arguments, **options):
        compile_model(model, *arguments, **options)
        eagerly(model)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "compile_model", compile_eagerly)
        yield


@pytest.fixture(scope="session")
def dataset() -> data.Dataset:
    """The sample corpus."""
    return data.read(paths.SAMPLE_CORPUS)


@pytest.fixture(scope="session")
def problems(dataset: data.Dataset) -> dict[str, study.Problem]:
    """Rows and folds of the sample corpus, for each task and for the joint label."""
    return {name: study.make_problem(dataset, name) for name in (*tasks.TASKS, tasks.ANSWER)}


@pytest.fixture
def made_once(dataset, problems, monkeypatch) -> None:
    """Commands on the sample corpus take ``problems``, instead of finding the near-duplicates anew, on one machine."""

    def make_problem(asked: data.Dataset, name: str, fold_seed: int = FOLD_SEED) -> study.Problem:
        is_made = (asked.sha256, fold_seed) == (dataset.sha256, FOLD_SEED)
        return problems[name] if is_made else study.make_problem(asked, name, fold_seed)

    for command in (ablation, baselines, compare, label_quality, learning_curve, variants):
        monkeypatch.setattr(command, "make_problem", make_problem)
    monkeypatch.setattr(study, "precision_and_gpus", lambda: ["mixed_bfloat16", 0])


@pytest.fixture
def stores(tmp_path, monkeypatch) -> None:
    """Empty folders for checkpoints and recorded runs."""
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path / "checkpoints")
    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
