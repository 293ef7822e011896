"""Jobs on Ray: each row once even if a worker dies, no work done twice, and a cluster given only its address."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pandas
import pytest

from tf_model import paths, predict
from tf_model.batch import ray_data
from tf_model.data.products import Products
from tf_model.errors import DataError, ModelError, OutputError, TweetTargetError, UsageError
from tf_model.inference.predictor import Predictor
from tf_model.io.files import locked
from tf_model.model_dir import identity

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the package ray is not installed")
# A job that waits for a CPU waits forever in silence; no test may. A job takes half a minute, on a busy machine
# minutes.
LIMIT = 500
# A process for each core, started before there is work, takes seconds and is hardly used.
LAZY = {"RAY_prestart_worker_first_driver": "0"}
# A test's cluster needs no token, and its workers must not yield to the machine's other work.
ALONE = LAZY | {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}


def write_job(folder: Path) -> Path:
    """Write a job's folder: three CSV files of 200 rows, one with bad rows, and a model's files."""
    (folder / "model" / "variables").mkdir(parents=True)
    (folder / "model" / "saved_model.pb").write_text("a graph")
    (folder / "model" / "labels.json").write_text('{"labels": {"product": ["iPad"]}}')
    (folder / "in").mkdir()
    for number in range(3):
        rows = [f'{number * 200 + row},"tweet {row} on my ipad, number {number}"' for row in range(200)]
        if number == 1:
            rows[7] = '207,"one field" too many,x'
            rows[8] = "208,too,many"
        (folder / "in" / f"{number}.csv").write_text("\n".join(["id,text", *rows]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_job(tmp_path)


def run(job: str, folder: Path, **environment: str) -> dict:
    """Run a job of ray_jobs.py in its own process group, and kill the group after the limit."""
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


@pytest.fixture(scope="module")
def done(tmp_path_factory, target_model) -> dict[str, tuple[Path, dict]]:
    """The folder and the result of each job on this machine; Ray is started once for all."""
    parent = tmp_path_factory.mktemp("jobs")
    folders = {job: write_job(parent / job) for job in ("for_targets", "lose_a_worker", "lose_every_worker")}
    shutil.copytree(target_model, folders["for_targets"] / "target")
    (folders["for_targets"] / "target" / "products.csv").write_text("name,aliases\niPad,\nNumber,\n", encoding="utf-8")
    first = folders["for_targets"] / "in" / "0.csv"
    first.write_text(first.read_text().replace("tweet 3 on my ipad, number", "none"))
    results = run("on_this_machine", parent, **LAZY)
    return {job: (folders[job], results[job]) for job in folders}


@needs_ray
@pytest.mark.timeout(LIMIT + 30)
def test_workers_that_are_lost_again_and_again_end_the_job_in_one_line_and_it_can_go_on(done):
    folder, result = done["lose_every_worker"]
    assert re.fullmatch(
        r"the workers were lost \(.*\); 1 of 3 shards are kept: run the same command again, with fewer --workers .*",
        result["error"],
    )
    assert len(result["kept"]) == 1, "whole, and no other begun"
    assert result["broken"] == ["DataError", "the model is\nno good"]
    assert result["untouched"]
    assert (result["rows"], len(result["progress"])) == (598, 2)
    assert result["start"] == [598 - sum(result["progress"])]
    check_rows(folder)


def check_rows(folder: Path) -> None:
    """Every good row is written once, and the others are set aside."""
    rows = pandas.concat([pandas.read_csv(file) for file in sorted((folder / "out").glob("shard-*.csv"))])
    assert rows["id"].tolist() == [number for number in range(600) if number not in (207, 208)]
    assert list(rows.columns) == ["id", "text", "product", "product_confidence"]
    assert set(rows["product"]) == {"iPad"}
    bad = [json.loads(line) for line in (folder / "out" / "_bad" / "rows.jsonl").read_text().splitlines()]
    assert [(Path(row["file"]).name, row["line"]) for row in bad] == [("1.csv", 9), ("1.csv", 10)]
    assert bad[0]["record"] == '207,"one field" too many,x'
    manifest = json.loads((folder / "out" / "_manifest.json").read_text())
    assert (manifest["complete"], sum(manifest["shards"]["sizes"]), manifest["shards"]["bad"]) == (True, 598, 2)
    assert not (folder / "out" / "_input").exists()


@needs_ray
@pytest.mark.timeout(LIMIT + 30)
def test_a_lost_worker_costs_no_row_and_nothing_is_done_twice(done):
    folder, result = done["lose_a_worker"]
    check_rows(folder)
    assert result["first"] | {"sizes": sum(result["first"]["sizes"])} == {
        "text_column": "text",
        "reason": "by its name",
        "sizes": 598,
        "bad": 2,
    }
    assert sum(result["progress"]) == 598
    assert set(result["replaced"]) - set(result["killed"]), "another took the place of the lost one"
    assert result["again"] == [True, 598]


@needs_ray
@pytest.mark.timeout(LIMIT + 30)
def test_a_row_for_each_product_is_written_once_although_the_job_was_stopped(done):
    folder, result = done["for_targets"]
    assert result["stopped"] in (198, 200), "rows of the input"
    assert result["untouched"]
    assert "holds the output of another job (another model, setting or input)" in result["error"]
    files = sorted((folder / "out").glob("shard-*.csv"))
    rows = pandas.concat([pandas.read_csv(file) for file in files])
    twice = [(number, name) for number in range(600) if number not in (3, 207, 208) for name in ("iPad", "Number")]
    assert list(rows[["id", "product"]].dropna().itertuples(index=False, name=None)) == twice
    assert rows["id"].is_monotonic_increasing
    assert rows[rows["product"].isna()]["id"].tolist() == [3]
    assert list(rows.columns[2:]) == ["product", "mention", "start", "end", "emotion", "emotion_confidence"]
    plain = ["--targets", "--model", str(folder / "target"), "--output", str(folder / "plain.csv")]
    assert predict.main([str(folder / "in" / "0.csv"), *plain]) == 0
    pandas.testing.assert_frame_equal(pandas.read_csv(files[0]), pandas.read_csv(folder / "plain.csv"), rtol=1e-4)
    manifest = json.loads((folder / "out" / "_manifest.json").read_text())
    assert (manifest["complete"], manifest["shards"]["sizes"]) == (True, [200, 198, 200])
    assert manifest["job"]["settings"]["products"] == {"iPad": [], "Number": []}


@pytest.fixture
def cluster():
    """The address of a Ray cluster of one node that claims a GPU, not started by the test's own process."""
    # A short path: Unix sockets allow 107 characters.
    with tempfile.TemporaryDirectory(prefix="ray") as session:
        start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--port=0", "--num-cpus=2"]
        start += ["--num-gpus=1", "--include-dashboard=false", f"--temp-dir={session}"]
        head = subprocess.Popen(
            [*start, f"--object-store-memory={100 * 2**20}"],
            # It can import the stub but not the package, which is sent along.
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
            os.killpg(head.pid, signal.SIGKILL)  # a clean exit would take half a minute
            head.wait()


@needs_ray
@pytest.mark.skipif(sys.platform == "darwin", reason="Ray has no clusters on macOS")
@pytest.mark.timeout(LIMIT + 60)
def test_a_cluster_is_used_by_its_address_alone_and_so_is_its_gpu(folder, cluster):
    result = run("on_a_cluster", folder, RAY_ADDRESS=cluster, **ALONE)
    assert (result["rows"], result["shards"]) == (598, 6)
    assert result["gpus"] == ["0"]  # one worker with the only GPU


@pytest.mark.parametrize(
    ("held", "workers", "is_here", "seen", "runtime", "share"),
    [
        (0, 1, False, 0, "auto", 0),
        (1, 1, False, 0, "auto", 1),  # a cluster's GPUs, unseen by this machine
        (1, 1, True, 1, "auto", 1),
        (1, 1, True, 0, "auto", 0),  # a driver without CUDA's libraries
        (1, 1, True, 1, "light", 0),
        (1, 4, False, 0, "auto", 0.25),
        (4, 3, False, 0, "auto", 1),
        (2, 3, False, 0, "auto", 0.5),  # two thirds of a GPU have room once on each
        (1, 3, False, 0, "auto", 0.3333),
    ],
)
def test_workers_share_the_gpus_that_can_be_used(held, workers, is_here, seen, runtime, share, monkeypatch):
    ray = SimpleNamespace(cluster_resources=lambda: {"CPU": 8.0} | ({"GPU": float(held)} if held else {}))
    tf = SimpleNamespace(config=SimpleNamespace(list_physical_devices=lambda kind: ["a GPU"] * seen))
    monkeypatch.setattr(ray_data, "import_tensorflow", lambda: tf)
    assert ray_data._gpu_share(ray, workers, is_here, runtime) == share


@pytest.mark.parametrize("replaced", ["model", "answer"])
def test_a_worker_does_not_answer_with_a_model_that_replaced_that_of_the_job(folder, monkeypatch, replaced):
    shutil.copytree(folder / "model", folder / "answer")
    identities = {folder / name: identity(folder / name) for name in ("model", "answer")}
    monkeypatch.setattr(Predictor, "load", lambda path, *_, **__: path.name)
    found = ray_data.load_model(identities, Products({"iPad": []}))
    assert (found.model, found.answer) == ("model", "answer")
    (folder / replaced / "saved_model.pb").write_text("another graph")
    with pytest.raises(ModelError, match=rf"{replaced} holds another model than when the job began; run it again with"):
        ray_data.load_model(identities, Products({"iPad": []}))


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"needs the package ray .*`make install`"):
        ray_data.import_ray()


@needs_ray
def test_what_cannot_be_done_is_refused_before_ray_is_started(folder, monkeypatch):
    monkeypatch.setattr(ray_data, "connected", lambda *_: pytest.fail("Ray was started"))
    job = (folder / "model", folder / "in", folder / "out")
    with pytest.raises(UsageError, match="writes a folder of shards"):
        ray_data.predict_files(*job[:2], folder / "out.csv")
    with pytest.raises(UsageError, match="overlap; give an output folder"):
        ray_data.predict_files(*job[:2], folder)
    with pytest.raises(UsageError, match="has no column 'tweet'"):
        ray_data.predict_files(*job, column="tweet")
    with pytest.raises(DataError, match="does not exist"):
        ray_data.predict_files(job[0], folder / "nothing", job[2])
    with pytest.raises(UsageError, match="overlap; give an output folder"):
        ray_data.predict_files(*job[:2], folder / "in" / "answers")
    assert not (folder / "out").exists()
    with locked(folder / "out" / ".lock", "x"), pytest.raises(OutputError, match=r"another run into .* is under way"):
        ray_data.predict_files(*job)
    (folder / "out" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds other files, 'mine\.txt'"):
        ray_data.predict_files(*job, overwrite=True)
    assert (folder / "out" / "mine.txt").read_text() == "mine"


@needs_ray
def test_an_address_where_no_cluster_is(monkeypatch):
    ray = ray_data.import_ray()

    def refuse(**_):
        raise ConnectionError("nobody there\nat all")

    monkeypatch.setattr(ray, "init", refuse)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with (
            pytest.raises(UsageError, match=rf"no Ray cluster answers at '{address}' \(nobody there\); check"),
            ray_data.connected(ray, address),
        ):
            pass
    for gone in (address, f"ray://{address}"):  # Ray itself would try for many minutes
        with (
            pytest.raises(UsageError, match=rf"no Ray cluster answers at '{gone}' \(.*Connection refused\); check"),
            ray_data.connected(ray, gone),
        ):
            pass


@needs_ray
def test_ray_that_does_not_start_here_is_no_missing_cluster(monkeypatch):
    ray = ray_data.import_ray()

    def fail(**_):
        raise Exception("The current node timed out during startup. This could\nhappen")  # the class that Ray raises

    monkeypatch.setattr(ray, "init", fail)
    monkeypatch.delenv(ray_data.ADDRESS, raising=False)
    expected = r"^Ray did not start on this machine \(The current node timed out .*\); .* or leave --engine out$"
    with pytest.raises(TweetTargetError, match=expected), ray_data.connected(ray, None):
        pass


def test_the_command_says_what_was_done_before_and_what_was_set_aside(folder, monkeypatch, capsys):
    from tf_model.batch.job import Shards

    given = {}

    def pretend(model, source, output, *, on_start, **options):
        given.update(options)
        shards = Shards("text", "by its name", (100,) * 6, 2)
        advance = on_start(shards, 200)
        for _ in range(4):
            advance(100)
        return shards

    monkeypatch.setattr(ray_data, "predict_files", pretend)
    monkeypatch.setattr(predict, "find_model", lambda _: folder / "model")
    labels = {"product": ["iPad"], "emotion": ["Positive emotion"]}  # only such a model takes a threshold
    (folder / "model" / "labels.json").write_text(json.dumps({"labels": labels}))
    options = ["--engine", "ray", "--workers", "3", "--address", "10.0.0.1:6379", "--runtime", "light"]
    options += ["--column", "text", "--probabilities", "--threshold", "0.5", "--overwrite"]
    assert predict.main([str(folder / "in"), "--output", str(folder / "answers"), *options]) == 0
    assert given == {
        "products": None,
        "answer_folder": None,
        "column": "text",
        "address": "10.0.0.1:6379",
        "runtime": "light",
        "workers": 3,
        "probabilities": True,
        "threshold": 0.5,
        "overwrite": True,
    }
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "reading the texts of column 'text' (by its name)"
    assert lines[1] == "600 rows in 6 shards; 200 of them were done by an earlier run"
    assert lines[2].startswith("400 texts in ")
    assert lines[3].startswith("wrote ")
    assert lines[3].endswith(" (600 rows; set aside in _bad/, with the reason: 2)")
