"""Jobs for tests/engines/test_ray_data.py, each in a process of its own: a job that hangs can be ended from outside."""

import json
import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

from stub_model import stub

from tf_model.batch import ray_data
from tf_model.batch.ray_data import connected, import_ray, predict_files
from tf_model.errors import TweetTargetError
from tf_model.inference.predictor import Predictor


def slow_stub(seconds: float) -> Predictor:
    """The stub, with a wait in each batch; it fails on a text that holds "poison"."""
    plain = stub()

    def score(batch):
        time.sleep(seconds)
        if any(b"poison" in text for text in batch):
            raise ValueError("poison")
        return plain.score(batch)

    return Predictor(plain.labels, score)


def predict(folder: Path, seconds: float = 0, **arguments):
    """Run a job over ``folder/in`` into ``folder/out``."""
    return predict_files(
        folder / "model", folder / "in", folder / "out", load=partial(slow_stub, seconds), batch_size=50, **arguments
    )


def records(folder: Path) -> dict:
    """What the finished parts say of themselves, by name."""
    return {file.stem: json.loads(file.read_text()) for file in (folder / "out" / "_done").glob("*.json")}


def kill_a_worker(folder: Path, killed: list[int]) -> None:
    """Wait until two parts are done, and kill the worker of the last one in the midst of its next."""
    while len(found := sorted((folder / "out" / "_done").glob("*.json"), key=lambda file: file.stat().st_mtime)) < 2:
        time.sleep(0.02)
    killed.append(int(json.loads(found[-1].read_text())["worker"].split(":")[1]))
    time.sleep(0.1)
    os.kill(killed[0], signal.SIGKILL)


def lose_a_worker(folder: Path) -> dict:
    """Kill a worker in the middle; then run the finished job again; then again with two parts taken away."""
    found, killed, rows = {}, [], []
    with connected(import_ray(), None):
        killer = threading.Thread(target=kill_a_worker, args=(folder, killed), daemon=True)
        killer.start()
        first = predict(folder, seconds=0.3, part_rows=50, on_progress=rows.append)
        killer.join()
        found |= {"first": vars(first) | {"folder": ""}, "killed": killed[0], "progress": rows, "done": records(folder)}
        before = {file.name: file.stat().st_mtime_ns for file in (folder / "out").glob("part-*")}
        again = predict(folder, seconds=0.3, part_rows=50)
        for name in ("part-000001", "part-000003"):
            (folder / "out" / "_done" / f"{name}.json").unlink()
        third = predict(folder, seconds=0.3, part_rows=50)
        after = {file.name: file.stat().st_mtime_ns for file in (folder / "out").glob("part-*")}
        found |= {"again": again.resumed, "third": third.resumed}
        found["written_again"] = sorted(name for name in after if after[name] != before[name])
    return found


def deadly_stub(folder: Path) -> Predictor:
    """The stub; once a part is done, every further one ends the process, as the system does where memory is short."""
    plain = stub()

    def score(batch):
        if records(folder):
            os._exit(1)
        return plain.score(batch)

    return Predictor(plain.labels, score)


def lose_every_worker(folder: Path) -> dict:
    """Run a job in which every part but the first to be scored ends the worker that begins it."""
    ray_data.RETRIES = 1
    try:
        predict_files(
            folder / "model",
            folder / "in",
            folder / "out",
            load=partial(deadly_stub, folder),
            part_rows=200,
            workers=1,
            batch_size=50,
        )
    except TweetTargetError as error:
        return {"error": str(error), "kept": sorted(records(folder))}
    return {"error": "none"}


def telling_stub(folder: Path) -> Predictor:
    """The stub, which leaves word of the GPUs that Ray gave to its worker."""
    (folder / f"gpus-of-{os.getpid()}").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
    return slow_stub(0)


def on_a_cluster(folder: Path) -> dict:
    """Run on the cluster that the environment's RAY_ADDRESS names, without its GPU, and with more than it has.

    The last would replace a job that is done.
    """
    job = (folder / "model", folder / "in")
    load, found = partial(telling_stub, folder), {}
    summary = predict_files(*job, folder / "out", load=load, batch_size=50, part_rows=100)
    found |= {"rows": summary.rows, "written": summary.written, "done": records(folder)}
    for name, gpus in (("gpus", None), ("without", 0)):
        if gpus is not None:
            predict_files(*job, folder / name, load=load, batch_size=50, part_rows=100, gpus=gpus)
        files = list(folder.glob("gpus-of-*"))
        found[name] = [file.read_text() for file in files]
        for file in files:
            file.unlink()
    before = sorted(file.name for file in (folder / "out").iterdir())
    try:
        predict_files(*job, folder / "out", load=load, batch_size=50, part_rows=100, workers=2, gpus=1, overwrite=True)
    except TweetTargetError as error:
        found["error"] = str(error)
    found["untouched"] = before == sorted(file.name for file in (folder / "out").iterdir())
    return found


if __name__ == "__main__":
    jobs = {"lose_a_worker": lose_a_worker, "lose_every_worker": lose_every_worker, "on_a_cluster": on_a_cluster}
    job = jobs[sys.argv[1]]
    print("found " + json.dumps(job(Path(sys.argv[2]))))
