"""``python -m research.benchmarks.predict``: how fast the exported model answers.

The Test tweets, one by one and in batches. The weights do not matter for speed: a freshly built classifier is exported.
Where ``saved_models/`` holds both ``product`` and ``answer``, the time of each for one tweet is measured as well.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from research.benchmarks import harness
from research.study import read_dataset
from tf_model import cli, paths, tasks
from tf_model.inference.predictor import Predictor
from tf_model.io.files import write_json
from tf_model.model_dir import LABELS

ROUNDS, BATCH = 5, 32
PAIR = (tasks.PRODUCT.name, tasks.ANSWER)


def main(argv: list[str] | None = None) -> int:
    """Measure latency and throughput, print and record them."""
    parser = cli.parser("research.benchmarks.predict", __doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="workbook with a Test sheet; found by itself if not given")
    arguments = parser.parse_args(argv)
    texts = harness.test_tweets(read_dataset(arguments.data))
    with tempfile.TemporaryDirectory() as folder:
        predictor = _export(Path(folder))
        throughput = _throughput(predictor, texts)
        (latency,) = _latencies([predictor], texts)
    pair = _answer_beside_product(texts)
    for name in PAIR if pair else ():
        harness.show(f"milliseconds of one tweet by saved_models/{name}", pair[name])
    results = {
        "texts": len(texts),
        "batch_size": BATCH,
        "tweets_per_second": throughput,
        "one_tweet_milliseconds": latency,
        **({"answer_beside_product": pair} if pair else {}),
    }
    print(f"tweets a second: {throughput:,.0f}")
    harness.show("milliseconds of one tweet", latency)
    return harness.finish("predict", argv, results)


def _export(folder: Path) -> Predictor:
    """An exported classifier, loaded as a user loads it."""
    from tf_model import config, device
    from tf_model.modeling import backbone, classifier

    device.prepare(0, precision="float32")
    from tf_model.export.saved_model import save_graph
    from tf_model.training.trainer import Fitted, text_encoder

    settings, task = config.make_config("report"), tasks.PRODUCT
    weights = backbone.find(settings.backbone)
    fitted = Fitted(classifier.build(weights, [len(task.labels)]), text_encoder(settings, weights))
    save_graph(fitted, [task], folder)
    write_json(folder / LABELS, {"task": task.name, "labels": {task.name: list(task.labels)}})
    return Predictor.load(folder)


def _answer_beside_product(texts: Sequence[str]) -> dict[str, Any] | None:
    """Milliseconds of both saved models for one tweet, and the ratio of their medians; None unless both are saved."""
    folders = [paths.SAVED_MODELS / name for name in PAIR]
    if not all(folder.is_dir() for folder in folders):
        cli.say(f"the cost of the whole question was not measured: {' and '.join(PAIR)} are not both saved")
        return None
    predictors = [Predictor.load(folder, "tensorflow") for folder in folders]
    pair = {
        # The backbone and the cleaning decide how many tokens a model reads.
        name: latency | {key: predictor.recipe[key] for key in ("backbone", "cleaning")}
        for name, predictor, latency in zip(PAIR, predictors, _latencies(predictors, texts), strict=True)
    }
    return pair | {"ratio": pair[tasks.ANSWER]["p50"] / pair[tasks.PRODUCT.name]["p50"]}


def _throughput(predictor: Predictor, texts: Sequence[str]) -> float:
    """Texts per second, the median of the rounds."""
    seconds = []
    for _ in range(ROUNDS + 1):
        begin = time.perf_counter()
        predictor.predict(texts, batch_size=BATCH)
        seconds.append(time.perf_counter() - begin)
    return len(texts) / statistics.median(seconds[1:])  # the first warms up


def _latencies(predictors: Sequence[Predictor], texts: Sequence[str]) -> list[dict[str, float]]:
    """Milliseconds for one text at a time, the whole call of the scoring function included; each takes its turn."""
    times: list[list[float]] = [[] for _ in predictors]
    for text in texts:
        for predictor, own in zip(predictors, times, strict=True):
            begin = time.perf_counter()
            predictor.predict([text])
            own.append((time.perf_counter() - begin) * 1000)
    return [harness.percentiles(own[len(own) // 10 :]) for own in times]  # the first tenth warms up


if __name__ == "__main__":
    cli.run(main)
