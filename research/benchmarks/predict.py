"""``python -m research.benchmarks.predict``: how fast the exported models predict.

``saved_models/product`` predicts the Test tweets in batches; then it and ``answer`` take turns at single tweets.
"""

import statistics
import time
import timeit
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from research.benchmarks import harness
from research.runs import show
from tf_model import cli, data, paths, tasks
from tf_model.inference.predictor import Predictor

ROUNDS, BATCH = 5, 32
PAIR = (tasks.PRODUCT.name, tasks.ANSWER)


def main(argv: list[str] | None = None) -> int:
    """Measure latency and throughput, print and record them."""
    parser = cli.parser("research.benchmarks.predict", __doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="workbook with a Test sheet; by default, the dataset that is found")
    arguments = parser.parse_args(argv)
    texts = harness.test_tweets(data.load(arguments.data))
    predictors = [Predictor.load(paths.SAVED_MODELS / name, "tensorflow") for name in PAIR]
    in_batches = replace(predictors[0], batch_size=BATCH)
    seconds = timeit.repeat(lambda: in_batches.predict(texts), number=1, repeat=ROUNDS + 1)
    throughput = len(texts) / statistics.median(seconds[1:])  # the first warms up
    timings = dict(zip(PAIR, _latencies(predictors, texts), strict=True))
    for name in PAIR:
        show(f"milliseconds of one tweet by saved_models/{name}", timings[name])
    results = {
        "texts": len(texts),
        "batch_size": BATCH,
        "tweets_per_second": throughput,
        "answer_beside_product": timings | {"ratio": timings[tasks.ANSWER]["p50"] / timings[tasks.PRODUCT.name]["p50"]},
    }
    print(f"tweets a second: {throughput:,.0f}")
    harness.record("predict", argv, results)
    return 0


def _latencies(predictors: Sequence[Predictor], texts: Sequence[str]) -> list[dict[str, float]]:
    """Percentiles of the milliseconds of whole ``predict`` calls of one text; the models take turns."""
    times: list[list[float]] = [[] for _ in predictors]
    for text in texts:
        for predictor, values in zip(predictors, times, strict=True):
            begin = time.perf_counter()
            predictor.predict([text])
            values.append((time.perf_counter() - begin) * 1000)
    return [harness.percentiles(values[len(values) // 10 :]) for values in times]  # the first tenth warms up


if __name__ == "__main__":
    cli.run(main)
