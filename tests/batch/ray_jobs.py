"""Jobs for tests/batch/test_ray_data.py, each in its own process, so that a job that hangs can be killed."""

import json
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from stub_model import stub

from tf_model import predict as predict_command
from tf_model.batch import ray_data
from tf_model.batch.ray_data import connected, import_ray, predict_files
from tf_model.errors import DataError, TweetTargetError
from tf_model.inference.predictor import Predictor


def slow_stub(folder: Path, seconds: float, *_: object) -> Predictor:
    """The stub with a pause in each batch; it writes down its process and the GPUs that Ray gave it."""
    plain = stub()
    (folder / f"worker-{os.getpid()}").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))

    def score(batch):
        time.sleep(seconds)
        return plain.score(batch)

    return Predictor(plain.labels, score)


def deadly_stub(folder: Path, *_: object) -> Predictor:
    """The stub; after the first shard, each further one ends the process, as the system does if memory runs out."""
    plain = stub()

    def score(batch):
        if shards(folder):
            os._exit(1)
        return plain.score(batch)

    return Predictor(plain.labels, score)


def broken_stub(*_: object) -> Predictor:
    """A model that cannot be used."""
    raise DataError("the model is\nno good")


def predict(folder: Path, load, name: str = "out", **arguments):
    """Run a job over ``folder/in`` into a folder beside it, with a model other than ``folder/model``."""
    ray_data.load_model = load
    return predict_files(folder / "model", folder / "in", folder / name, **arguments)


def shards(folder: Path) -> list[Path]:
    """The finished shards, newest last."""
    return sorted((folder / "out").glob("shard-*"), key=lambda file: file.stat().st_mtime)


def workers(folder: Path) -> dict[int, str]:
    """By process, the GPUs of each worker that loaded a model since the last call."""
    files = list(folder.glob("worker-*"))
    gpus = {int(file.name.removeprefix("worker-")): file.read_text() for file in files}
    for file in files:
        file.unlink()
    return gpus


def kill_a_worker(folder: Path, killed: list[int]) -> None:
    """Wait until two shards are done, and kill a worker during its next."""
    while len(shards(folder)) < 2:
        time.sleep(0.02)
    killed.append(min(workers(folder)))
    os.kill(killed[0], signal.SIGKILL)


def lose_a_worker(folder: Path) -> dict:
    """Kill a worker in the middle; then run the finished job again."""
    killed, rows, start = [], [], []
    killer = threading.Thread(target=kill_a_worker, args=(folder, killed), daemon=True)
    killer.start()
    first = predict(folder, partial(slow_stub, folder, 0.3), shard_rows=50, on_start=lambda *_: rows.append)
    killer.join()
    again = predict(folder, partial(slow_stub, folder, 0.3), shard_rows=50, on_start=lambda *of: start.append(of[1]))
    return {
        "first": vars(first),
        "progress": rows,
        "replaced": list(workers(folder)),
        "killed": killed,
        "again": [again == first, *start],
    }


def lose_every_worker(folder: Path) -> dict:
    """A job whose every shard but the first kills its worker; then the same job with a better model."""
    ray_data.RETRIES = 1
    found = {}
    try:
        predict(folder, partial(deadly_stub, folder), shard_rows=200, workers=1)
    except TweetTargetError as error:
        found["error"] = str(error)
    kept = shards(folder)
    found["kept"] = [file.name for file in kept]
    before = [file.stat().st_mtime_ns for file in kept]
    try:
        predict(folder, broken_stub, shard_rows=200, workers=1)
    except TweetTargetError as error:
        found["broken"] = [type(error).__name__, str(error)]
    rows, start = [], []
    made = predict(
        folder,
        partial(slow_stub, folder, 0),
        shard_rows=200,
        workers=1,
        on_start=lambda *of: start.append(of[1]) or rows.append,
    )
    found["untouched"] = before == [file.stat().st_mtime_ns for file in kept]
    return found | {"start": start, "progress": rows, "rows": made.rows}


def on_a_cluster(folder: Path) -> dict:
    """Run on the cluster that the environment's RAY_ADDRESS names."""
    made = predict(folder, partial(slow_stub, folder, 0), shard_rows=100)
    return {"rows": made.rows, "shards": len(shards(folder)), "gpus": list(workers(folder).values())}


def for_targets(folder: Path) -> dict:
    """A job for products by the command, interrupted and run again; then with another list of products."""
    command = [str(folder / "in"), "--targets", "--model", str(folder / "target"), "--output", str(folder / "out")]
    command += ["--engine", "ray", "--workers", "1"]
    count_progress, found = predict_command.count_progress, {}

    @contextmanager
    def stopped(*_, **__):
        def advance(rows):
            found["stopped"] = rows
            raise KeyboardInterrupt

        yield advance

    predict_command.count_progress = stopped
    try:
        predict_command.main(command)
    except KeyboardInterrupt:
        predict_command.count_progress = count_progress
    first, *others = shards(folder)
    for each in others:
        each.unlink()  # if it was quick
    before = first.stat().st_mtime_ns
    predict_command.main(command)
    found["untouched"] = before == first.stat().st_mtime_ns
    (folder / "mine.csv").write_text("name,aliases\niPad,\nNumber,\n")
    mine = ["--products", str(folder / "mine.csv")]
    predict_command.main([*command, *mine])  # the same list
    (folder / "mine.csv").write_text("name,aliases\niPad,tablet\nNumber,\n")
    try:
        predict_command.main([*command, *mine])
    except TweetTargetError as error:
        found["error"] = str(error)
    return found


def on_this_machine(folder: Path) -> dict:
    """Three jobs, each in its own folder, for which Ray is started only once."""
    # In this order: the first needs the real ``load_model``, and the last leaves fewer retries.
    local = (for_targets, lose_a_worker, lose_every_worker)
    with connected(import_ray(), None):
        return {job.__name__: job(folder / job.__name__) for job in local}


if __name__ == "__main__":
    jobs = {job.__name__: job for job in (on_this_machine, on_a_cluster)}
    job = jobs[sys.argv[1]]
    print("found " + json.dumps(job(Path(sys.argv[2]))))
