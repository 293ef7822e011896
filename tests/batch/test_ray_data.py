"""Jobs on Ray: every row once although a worker is lost, nothing done twice, and a cluster by its address alone."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pandas
import pytest

from tf_model import paths
from tf_model.batch import ray_data
from tf_model.errors import DataError, OutputError, UsageError

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the package ray is not installed")
# A job that waits for a CPU waits for ever and without a word: no test may. It is done in half a minute, on a busy
# machine in minutes.
LIMIT = 500
# A cluster of a test needs no token, and its workers are not to wait for all else that the machine does.
ALONE = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A job's folder: three CSV files of 200 rows, one of them with rows that are bad, and the files of a model."""
    (tmp_path / "model" / "variables").mkdir(parents=True)
    (tmp_path / "model" / "saved_model.pb").write_text("a graph")
    (tmp_path / "model" / "labels.json").write_text('{"task": "product", "labels": ["iPad"]}')
    (tmp_path / "in").mkdir()
    for number in range(3):
        rows = [f'{number * 200 + row},"tweet {row} on my ipad, number {number}"' for row in range(200)]
        if number == 1:
            rows[7] = '207,"one field" too many,x'
            rows[8] = "208,poison"
        (tmp_path / "in" / f"{number}.csv").write_text("\n".join(["id,text", *rows]) + "\n", encoding="utf-8")
    return tmp_path


def run(job: str, folder: Path, **environment: str) -> dict:
    """Run a job of ray_jobs.py in a process group of its own, and end all of it after the limit."""
    places = os.pathsep.join(map(str, (paths.ROOT, paths.ROOT / "tests")))
    command = [sys.executable, str(Path(__file__).with_name("ray_jobs.py")), job, str(folder)]
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": places, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"the job {job} was not done after {LIMIT} s")
    assert process.returncode == 0, errors
    [line] = [line for line in output.splitlines() if line.startswith("found ")]
    return json.loads(line.removeprefix("found "))


@needs_ray
@pytest.mark.timeout(LIMIT + 30)
def test_workers_that_are_lost_again_and_again_end_the_job_in_one_line(folder):
    found = run("lose_every_worker", folder)
    assert re.fullmatch(
        r"the workers were lost \(.*\); 1 of 3 parts are kept: run the same command again, with fewer --workers .*",
        found["error"],
    )
    [kept] = found["kept"]
    assert [file.stem for file in (folder / "out").glob("part-*.csv")] == [kept], "whole, and no other begun"


def read_parts(folder: Path) -> pandas.DataFrame:
    return pandas.concat([pandas.read_csv(file) for file in sorted((folder / "out").glob("part-*.csv"))])


@needs_ray
@pytest.mark.timeout(LIMIT + 30)
def test_a_lost_worker_costs_no_row_and_nothing_is_done_twice(folder):
    found = run("lose_a_worker", folder)
    rows = read_parts(folder)
    expected = [number for number in range(600) if number not in (207, 208)]
    assert sorted(rows["id"]) == expected  # every good row once
    assert list(rows.columns) == ["id", "text", "product", "product_confidence"]
    assert set(rows["product"]) == {"iPad"}
    assert found["first"] == {"folder": "", "parts": 12, "resumed": 0, "rows": 600, "written": 598, "bad": 2}
    assert sum(found["progress"]) == 600
    workers = {int(record["worker"].split(":")[1]) for record in found["done"].values()}
    assert len(workers - {found["killed"]}) >= 2  # another took the place of the lost one
    bad = [json.loads(line) for line in (folder / "out" / "_bad" / "part-000004.jsonl").read_text().splitlines()]
    assert [(row["row"], row["line"]) for row in bad] == [(7, 9), (8, None)]
    assert bad[1]["reason"] == "ValueError: poison"
    assert bad[0]["record"] == '207,"one field" too many,x'
    assert found["again"] == 12
    assert found["third"] == 10
    assert found["written_again"] == ["part-000001.csv", "part-000003.csv"]
    assert json.loads((folder / "out" / "_manifest.json").read_text())["complete"] is True


@pytest.fixture
def cluster():
    """The address of a Ray cluster of one node with a GPU, or so it says; the test's own process has not started it."""
    # A short path, because those of Unix sockets are limited to 107 characters.
    with tempfile.TemporaryDirectory(prefix="ray") as session:
        start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--port=0", "--num-cpus=2"]
        start += ["--num-gpus=1", "--include-dashboard=false", f"--temp-dir={session}"]
        head = subprocess.Popen(
            [*start, f"--object-store-memory={100 * 2**20}"],
            # It knows the stub, and nothing of the package: that is sent along.
            cwd=session,
            env={**os.environ, **ALONE, "PYTHONPATH": str(paths.ROOT / "tests")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said = []
            for line in head.stdout:
                said.append(line)
                if "--address='" in line:
                    yield line.split("'")[1]
                    break
            else:
                pytest.fail(f"Ray did not start: {''.join(said)[-500:]}")
        finally:
            os.killpg(head.pid, signal.SIGKILL)  # it would take half a minute to say good-bye
            head.wait()


@needs_ray
@pytest.mark.timeout(LIMIT + 60)
def test_a_cluster_is_used_by_its_address_alone_and_so_is_its_gpu(folder, cluster):
    found = run("on_a_cluster", folder, RAY_ADDRESS=cluster, **ALONE)
    assert (found["rows"], found["written"]) == (600, 598)
    assert len(found["done"]) == 6
    assert found["gpus"] == ["0"]  # one worker, which was given the one
    assert found["without"] == ["", ""]  # one for each CPU, and none sees a GPU
    assert found["error"].startswith("expected at least 2 GPUs for 2 workers with 1 each, found 1; give fewer")
    assert found["untouched"], "what was done before is kept where the new job cannot be"


@pytest.mark.parametrize(
    ("held", "workers", "is_here", "seen", "share"),
    [
        (0, None, False, 0, 0),
        (1, None, False, 0, 1),  # a cluster, whose GPUs this machine does not see
        (1, None, True, 1, 1),
        (1, None, True, 0, 0),  # a driver without CUDA's libraries
        (1, 4, False, 0, 0.25),
        (4, 3, False, 0, 1),
        (1, 3, False, 0, 0.3333),
    ],
)
def test_workers_share_the_gpus_that_can_be_used(held, workers, is_here, seen, share, monkeypatch):
    ray = SimpleNamespace(cluster_resources=lambda: {"CPU": 8.0} | ({"GPU": float(held)} if held else {}))
    tf = SimpleNamespace(config=SimpleNamespace(list_physical_devices=lambda kind: ["a GPU"] * seen))
    monkeypatch.setattr(ray_data, "import_tensorflow", lambda: tf)
    assert ray_data._share_of_gpu(ray, None, workers, is_here) == share
    assert ray_data._share_of_gpu(ray, 0, workers, is_here) == 0
    with pytest.raises(UsageError, match=f"for {held + 1} workers? with 1 each, found {held}; give fewer"):
        ray_data._share_of_gpu(ray, 1, held + 1, is_here)


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"needs the package ray .*`make install`, or .*ray\[data\]"):
        ray_data.import_ray()


@needs_ray
def test_what_cannot_be_done_is_refused_before_ray_is_started(folder, monkeypatch):
    monkeypatch.setattr(ray_data, "connected", lambda *_: pytest.fail("Ray was started"))
    job = (folder / "model", folder / "in", folder / "out")
    with pytest.raises(UsageError, match="writes a folder of parts"):
        ray_data.predict_files(*job[:2], folder / "out.csv")
    with pytest.raises(UsageError, match="at least 1 worker, got 0"):
        ray_data.predict_files(*job, workers=0)
    with pytest.raises(UsageError, match=r"end in .csv or .parquet, got '.xlsx'"):
        ray_data.predict_files(*job, suffix=".xlsx")
    with pytest.raises(UsageError, match="has no column 'tweet'"):
        ray_data.predict_files(*job, column="tweet")
    with pytest.raises(DataError, match="does not exist"):
        ray_data.predict_files(job[0], folder / "nothing", job[2])
    with pytest.raises(UsageError, match="lies in the folder that is read"):
        ray_data.predict_files(*job[:2], folder / "in" / "answers")
    taken = folder / "taken.csv"
    taken.write_text("text,product_probability_iPad\na,b\n")
    with pytest.raises(DataError, match="already has a column called 'product_probability_iPad'"):
        ray_data.predict_files(job[0], taken, job[2], options={"probabilities": True})
    assert not (folder / "out").exists()
    (folder / "out").mkdir()
    (folder / "out" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not empty and no job made it"):
        ray_data.predict_files(*job, overwrite=True)
    assert (folder / "out" / "mine.txt").read_text() == "mine"


@needs_ray
def test_an_address_where_no_cluster_is(monkeypatch):
    ray = ray_data.import_ray()

    def refuse(**_):
        raise ConnectionError("nobody there\nat all")

    monkeypatch.setattr(ray, "init", refuse)
    with (
        pytest.raises(UsageError, match=r"no Ray cluster answers at '10.0.0.1:6379' \(nobody there\); check"),
        ray_data.connected(ray, "10.0.0.1:6379"),
    ):
        pass


def test_the_command_says_what_was_done_before_and_what_was_set_aside(folder, monkeypatch, capsys):
    from tf_model import predict
    from tf_model.batch import parts
    from tf_model.batch.ledger import Summary

    given = {}

    def pretend(model, source, output, *, on_start, on_progress, **options):
        given.update(options)
        plan = parts.plan(source, part_rows=100)
        on_start(plan, 200)
        for _ in range(4):
            on_progress(100)
        return Summary(Path(output), 6, 2, 600, 598, 2)

    monkeypatch.setattr(ray_data, "predict_files", pretend)
    monkeypatch.setattr(predict, "find_model", lambda _: folder / "model")
    output = folder / "answers"
    few = ["--workers", "3", "--gpus-per-worker", "0.5"]
    assert predict.main([str(folder / "in"), "--output", str(output), "--engine", "ray", *few]) == 0
    assert (given["workers"], given["gpus"]) == (3, 0.5)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("reading the texts of column 'text'")
    assert said[1] == "600 rows in 6 parts; 200 of them were done by an earlier run"
    assert said[2].startswith("400 texts in ")
    assert said[3].startswith("598 rows are in ")
    assert said[3].endswith("; 2 were set aside in _bad/, with the reason")
