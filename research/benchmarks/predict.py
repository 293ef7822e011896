"""``python -m research.benchmarks.predict``: how fast the exported model answers.

The Test tweets, one by one and in batches, padded to each batch's longest text and to 64 tokens. The weights do not
matter for speed: a freshly built classifier is exported twice, once for each way to pad.

Where ``saved_models/`` holds both ``product`` and ``answer``, it is also measured what the whole question costs: the
time of ``answer`` for one tweet beside that of ``product``, as they were saved and with the text that each is given.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from research.runs import record
from tf_model import cli, data, paths, tasks
from tf_model.errors import DataError
from tf_model.inference.predictor import Predictor

PADDED = 64
ROUNDS = 5
PAIR = (tasks.PRODUCT.name, tasks.ANSWER)


def main(argv: list[str] | None = None) -> int:
    """Measure latency and throughput, print and record them."""
    parser = cli.parser("research.benchmarks.predict", __doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="workbook with a Test sheet; found by itself if not given")
    parser.add_argument("--batch-size", type=int, default=32, help="texts in a batch")
    arguments = parser.parse_args(argv)
    source = data.resolve(arguments.data)
    unlabelled = data.read(source.path).unlabelled
    if unlabelled is None:
        raise DataError(f"{source.path} has no Test sheet; give the workbook with --data")
    texts = unlabelled["Tweet"].tolist()
    with tempfile.TemporaryDirectory() as folder:
        bucketed, padded = (_export(Path(folder) / str(bucket), bucket) for bucket in (None, PADDED))
        throughput = _throughput({"bucketed": bucketed, "padded": padded}, texts, arguments.batch_size)
        (latency,) = _latencies([bucketed], texts)
    pair = _answer_beside_product(texts)
    ratio = throughput["bucketed"] / throughput["padded"]
    results = {
        "texts": len(texts),
        "batch_size": arguments.batch_size,
        "padded_to": PADDED,
        "tweets_per_second": throughput,
        "ratio": ratio,
        "one_tweet_milliseconds": latency,
        **({"answer_beside_product": pair} if pair else {}),
    }
    path = record("bench_predict", "make bench-predict", results)
    for name, value in throughput.items():
        print(f"{name}: {value:.0f} tweets/s in batches of {arguments.batch_size}")
    print(f"bucketed is {ratio:.2f} times as fast")
    print(f"one tweet: {_in_words(latency)}")
    if pair:
        for name in PAIR:
            print(f"saved_models/{name}, one tweet: {_in_words(pair[name])}")
        print(f"answer takes {pair['ratio']:.2f} times as long as product")
    else:
        cli.say(f"the cost of the whole question was not measured: {' and '.join(PAIR)} are not both saved")
    cli.say(f"written to {paths.shown(path)}")
    return 0


def _export(folder: Path, bucket: int | None) -> Predictor:
    """An exported classifier that pads to multiples of ``bucket``, loaded as a user loads it."""
    from tf_model import config, device
    from tf_model.io.files import write_json
    from tf_model.modeling import backbone, classifier

    recipe = config.make_recipe("report")
    device.prepare(0, precision="float32")
    from tf_model.export.saved_model import save_graph
    from tf_model.preprocessing.tokenizer import BUCKET, TextEncoder
    from tf_model.training.trainer import Fitted

    weights = backbone.find(recipe.backbone)
    encoder = TextEncoder(weights.vocabulary, recipe.cleaning, weights.lower_case, bucket=bucket or BUCKET)
    save_graph(Fitted(classifier.build(weights, [len(tasks.PRODUCTS)]), encoder), tasks.PRODUCT, folder)
    write_json(
        folder / "labels.json", {"task": tasks.PRODUCT.name, "labels": {tasks.PRODUCT.name: list(tasks.PRODUCTS)}}
    )
    return Predictor.load(folder)


def _answer_beside_product(texts: list[str]) -> dict | None:
    """Milliseconds of both saved models for one tweet, and the ratio of their medians; None unless both are saved."""
    folders = [paths.SAVED_MODELS / name for name in PAIR]
    if not all(folder.is_dir() for folder in folders):
        return None
    predictors = [Predictor.load(folder) for folder in folders]
    product, answer = _latencies(predictors, texts)
    return {
        PAIR[0]: product | _what(predictors[0]),
        PAIR[1]: answer | _what(predictors[1]),
        "ratio": answer["p50"] / product["p50"],
    }


def _what(predictor: Predictor) -> dict[str, str]:
    """What decides how many tokens a saved model reads, and how."""
    return {name: predictor.recipe.get(name, "not recorded") for name in ("backbone", "cleaning")}


def _throughput(predictors: dict[str, Predictor], texts: list[str], batch_size: int) -> dict[str, float]:
    """Texts per second: the median of rounds in which each takes its turn, so that drift hits all alike."""
    seconds = {name: [] for name in predictors}
    for turn in range(ROUNDS + 1):
        for name, predictor in predictors.items():
            begin = time.perf_counter()
            predictor.predict(texts, batch_size=batch_size)
            if turn:  # the first warms up
                seconds[name].append(time.perf_counter() - begin)
    return {name: len(texts) / statistics.median(values) for name, values in seconds.items()}


def _latencies(predictors: list[Predictor], texts: list[str]) -> list[dict[str, float]]:
    """Milliseconds for one text at a time, the whole call of the scoring function included; each takes its turn."""
    times: list[list[float]] = [[] for _ in predictors]
    for text in texts:
        for predictor, own in zip(predictors, times, strict=True):
            begin = time.perf_counter()
            predictor.predict([text])
            own.append((time.perf_counter() - begin) * 1000)
    return [_percentiles(own[len(own) // 10 :]) for own in times]  # the first tenth warms up


def _percentiles(times: list[float]) -> dict[str, float]:
    times = sorted(times)
    return {"p50": statistics.median(times), "p95": times[int(0.95 * len(times))], "p99": times[int(0.99 * len(times))]}


def _in_words(latency: dict) -> str:
    return ", ".join(f"{name} {latency[name]:.1f} ms" for name in ("p50", "p95", "p99"))


if __name__ == "__main__":
    cli.run(main)
