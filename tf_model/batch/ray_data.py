"""Score many texts with Ray Data on this machine or a cluster (https://docs.ray.io/en/latest/data/data.html).

Each worker is a Ray actor that loads the model once and gets the indices of the shards to read, score and write. If a
worker is lost, it is replaced and its shard is redone. A shard's file appears whole or not at all, so no row is lost or
written twice; Ray's own writers would append to existing files.
"""

import logging
import math
import os
import pickle
import shlex
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tf_model import paths
from tf_model.batch.job import SHARD_ROWS, Job, Shards, input_files, open_first
from tf_model.data.products import Products
from tf_model.device import cores, import_tensorflow
from tf_model.errors import ModelError, TweetTargetError, UsageError, first_line
from tf_model.inference.predictor import RUNTIMES, Predictor
from tf_model.inference.targets import TargetPredictor
from tf_model.io import tables
from tf_model.io.files import locked
from tf_model.model_dir import identity

ADDRESS = "RAY_ADDRESS"
CPUS = 0.5  # per worker: if workers hold every CPU, none is left for Ray's own tasks, and the job hangs
CONNECT_TIMEOUT = 10.0  # seconds
RETRIES = 5  # of a shard whose worker was lost


def predict_files(
    model_folder: Path | str,
    source: Path | str,
    output: Path | str,
    *,
    products: Products | None = None,
    answer_folder: Path | None = None,
    column: str | None = None,
    address: str | None = None,
    runtime: str = RUNTIMES[0],
    workers: int | None = None,
    shard_rows: int = SHARD_ROWS,
    probabilities: bool = False,
    threshold: float | None = None,
    overwrite: bool = False,
    on_start: Callable[[Shards, int], Callable[[int], Any]] = lambda shards, rows: lambda rows: None,
) -> Shards:
    """Score all texts of a .csv or .parquet file, or of a folder of them, into a folder of shards.

    With ``products``, a model of targets gives one row for each product of a text, and the model in ``answer_folder``
    guesses if a text names none: see :class:`TargetPredictor`.

    Run again with the same arguments, it does what is not done yet. On a cluster, the output and the model must be in
    folders that all machines see under the same path; the code is sent along. ``address`` is a Ray cluster's, such as
    "10.0.0.1:6379" (None: ``RAY_ADDRESS``, else this machine). For ``runtime`` see :meth:`Predictor.load`. ``workers``
    is the number of actors (None: one per GPU, or one per CPU without GPUs), which share the GPUs. ``on_start`` gets
    the shards and the number of rows that an earlier run did, and returns what gets the rows of each finished shard.
    Raises :class:`TweetTargetError`, also if workers are lost again and again; finished shards are kept.
    """
    ray = import_ray()
    # Absolute paths, because the workers have working directories of their own. Links are followed once: after a
    # promotion, a worker that loads later would get another version.
    model_folder, output = Path(model_folder).resolve(), Path(output).resolve()
    answer_folder = answer_folder and Path(answer_folder).resolve()
    if output.suffix.lower() in tables.OUTPUT_SUFFIXES:
        raise UsageError(f"{output}: this engine writes a folder of shards; give a name without {output.suffix}")
    files = input_files(source)
    if output.is_relative_to(Path(source).resolve()) or any(file.resolve().is_relative_to(output) for file in files):
        raise UsageError(f"{source} and {output} overlap; give an output folder outside the input")
    first_table = open_first(files, column)
    options = {"probabilities": probabilities, "threshold": threshold}
    identities = {folder: identity(folder) for folder in (model_folder, answer_folder) if folder}
    settings = {"model": identities[model_folder], "column": column, "shard_rows": shard_rows, "runtime": runtime}
    if products:
        settings |= {"products": products.aliases, "answer": identities.get(answer_folder)}
    job = Job(output, files, settings | options)
    with locked(output / ".lock", f"another run into {output}", "wait until it ends, or choose another folder"):
        shards = job.resume(overwrite)
        if shards and not job.missing(shards):
            on_start(shards, shards.rows)
            job.finalize(shards)
            return shards
        with connected(ray, address) as is_local:
            gpu_share = _gpu_share(ray, workers or 1, is_local, runtime)
            if shards is None:
                shards = job.begin(first_table, shard_rows)
            missing = job.missing(shards)
            advance = on_start(shards, shards.rows - sum(shards.sizes[index] for index in missing))
            load = partial(load_model, identities, products, runtime)
            args = (load, job, shards.text_column, options)
            try:
                for rows in _run(ray, missing, args, workers, gpu_share):
                    advance(rows)
            except ray.exceptions.RayError as error:
                state = f"{len(shards.sizes) - len(job.missing(shards))} of {len(shards.sizes)} shards are kept"
                raise TweetTargetError(
                    f"the workers were lost ({first_line(error)[:200]}); {state}: run the same command again, with "
                    "fewer --workers if memory ran out"
                ) from error
        job.finalize(shards)
        return shards


def import_ray() -> Any:
    """The ``ray`` module, with its data library; :class:`UsageError` if it is not installed."""
    try:
        import ray
        import ray.data
        import ray.exceptions
    except ImportError as error:
        raise UsageError(
            f"this engine needs the package ray ({first_line(error)}); run `make install`, or leave --engine out"
        ) from error
    return ray


@contextmanager
def connected(ray: Any, address: str | None) -> Iterator[bool]:
    """Connect to Ray for the block: the cluster at ``address`` or ``RAY_ADDRESS``, else this machine.

    Yields whether it is this machine. Raises :class:`UsageError` if there is no cluster at the address, and
    :class:`TweetTargetError` if Ray does not start on this machine.
    """
    if ray.is_initialized():
        yield False
        return
    address = address or os.environ.get(ADDRESS)
    is_local = address in (None, "local")
    init_options: dict[str, Any]
    if is_local:
        # So that the workers find this package, whatever their working directory.
        python_path = os.pathsep.join(filter(None, [str(paths.ROOT), os.environ.get("PYTHONPATH")]))
        init_options = {
            "address": "local",
            "num_cpus": cores(),
            "include_dashboard": False,
            "object_store_memory": 100 * 2**20,  # bytes; it only holds the indices of the shards
            # Ray starts the workers by a shell, and its own command does not quote a path with spaces.
            "runtime_env": {"env_vars": {"PYTHONPATH": python_path}, "py_executable": shlex.quote(sys.executable)},
        }
        os.environ.setdefault("RAY_worker_niceness", "0")  # the command without Ray does not lower its priority either
    else:
        init_options = {"address": address, "runtime_env": {"py_modules": [str(paths.ROOT / "tf_model")]}}
    # Ray reports its use to its makers, and its C++ writes to standard error, unless told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        host, _, port = (address or "").removeprefix("ray://").rpartition(":")
        if host and port.isdecimal():  # Ray itself would retry for many minutes
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT).close()
        ray.init(**init_options, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises this class itself, too
        reason = first_line(error)[:200]
        if is_local:
            raise TweetTargetError(
                f"Ray did not start on this machine ({reason}); run the same command again when less is running, or "
                "leave --engine out"
            ) from error
        raise UsageError(
            f"no Ray cluster answers at {address!r} ({reason}); check --address, {ADDRESS} and, if "
            "it needs a token, RAY_AUTH_MODE, or leave them out to use this machine"
        ) from error
    try:
        yield is_local
    finally:
        ray.shutdown()


def _gpu_share(ray: Any, workers: int, is_local: bool, runtime: str) -> float:
    """The share of a GPU for each worker, at most 1; Ray would wait for ever for more GPUs than there are."""
    gpus = ray.cluster_resources().get("GPU", 0) if runtime != "light" else 0
    # Ray counts the GPUs that the driver shows; TensorFlow also needs CUDA's libraries.
    usable = gpus and not (is_local and not import_tensorflow().config.list_physical_devices("GPU"))
    return math.floor(1e4 / math.ceil(workers / gpus)) / 1e4 if usable else 0.0  # a worker has its share on one GPU


def _run(
    ray: Any, missing: Sequence[int], args: tuple[Any, ...], workers: int | None, gpu_share: float
) -> Iterator[int]:
    """Process the shards, and yield the number of rows of each finished shard."""
    resources = ray.cluster_resources()
    if workers is None:
        workers = max(int(resources.get("GPU", 0) / gpu_share if gpu_share else resources.get("CPU", 1)), 1)
    # Ray Data writes a lot to standard error; we show the progress ourselves.
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    for name in ("ray.data", "ray"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # One block per shard, as Ray hands out and retries whole blocks.
    shards = ray.data.from_items([{"shard": index} for index in missing], override_num_blocks=len(missing))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # max_task_retries will be a named parameter in Ray 2.64
        results = shards.map_batches(
            Worker,
            fn_constructor_args=args,
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(missing))),
            num_cpus=CPUS,
            num_gpus=gpu_share,
            max_task_retries=RETRIES,
        )
    for record in results.iter_rows():
        if record["error"]:
            raise pickle.loads(record["error"])
        yield int(record["rows"])


class Worker:
    """A Ray actor that loads the model at its first shard, and scores one shard after another.

    An error that a user can act on is returned as a value: if it were raised, Ray would wrap it and retry the shard.
    """

    def __init__(
        self, load: Callable[[], Predictor | TargetPredictor], job: Job, text_column: str, options: Mapping[str, Any]
    ) -> None:
        self._load, self._job, self._text_column, self._options = load, job, text_column, options
        self._predictor: Predictor | TargetPredictor | None = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Process one shard; returns its number of rows, or a pickled error."""
        [index] = batch["shard"]
        try:
            if self._predictor is None:
                if not import_ray().get_runtime_context().get_accelerator_ids().get("GPU"):
                    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # else it would see all GPUs and fill their memory
                self._predictor = self._load()
            with (
                tables.open_table(self._job.input(index), self._text_column) as table,
                tables.table_writer(self._job.output(index), overwrite=True) as writer,
            ):
                for chunk in self._predictor.predict_table(table, **self._options):
                    writer.write(chunk)
        except TweetTargetError as error:
            return {"rows": [0], "error": [pickle.dumps(error)]}
        return {"rows": [table.total_rows], "error": [b""]}


def load_model(
    identities: Mapping[Path, str], products: Products | None = None, runtime: str = RUNTIMES[0]
) -> Predictor | TargetPredictor:
    """Load the model in the first folder and, if there is a second, the answer model there.

    They compute with one thread: several workers must not each use all cores. Raises :class:`ModelError` if a folder
    no longer holds the model of this :func:`identity`.
    """
    if runtime == "auto" and os.environ.get("CUDA_VISIBLE_DEVICES"):
        runtime = "tensorflow"  # the only runtime that uses the worker's GPU
    models = []
    for folder, expected in identities.items():
        models.append(Predictor.load(folder, runtime, threads=1))
        if identity(folder) != expected:
            raise ModelError(
                f"{folder} holds another model than when the job began; run it again with --overwrite, or into another "
                "folder"
            )
    return TargetPredictor(models[0], products, *models[1:]) if products else models[0]
