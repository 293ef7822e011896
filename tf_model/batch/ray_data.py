"""Many texts on all cores of this machine, or of a cluster, by Ray Data (https://docs.ray.io/en/latest/data/data.html).

Each worker is a Ray actor that loads the model once. What goes through Ray is the list of parts and what became of
each; the rows themselves go from the input file to the worker and from there to the output folder. A worker that is
lost is replaced, and its part done again: a part appears whole or not at all, so that no row is lost or written twice.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from tf_model import paths
from tf_model.batch import parts
from tf_model.batch.ledger import Ledger, Summary, model_fingerprint
from tf_model.batch.parts import Part
from tf_model.batch.scoring import score_part
from tf_model.device import cores, import_tensorflow
from tf_model.errors import TweetTargetError, UsageError, first_line, plural
from tf_model.inference.predictor import BATCH_SIZE, Predictor, columns_of
from tf_model.io import tables
from tf_model.model_dir import read_labels

PACKAGE = "ray[data]==2.60.0"
ADDRESS = "RAY_ADDRESS"
HERE = (None, "local")  # addresses of no cluster
# Of the CPUs that a worker computes on, this share is asked of Ray. The rest leaves room for Ray's own tasks: workers
# that hold every CPU let a job wait for ever, without a word.
SHARE = 0.5
# Times that a part is begun again after its worker was lost; a part that ends every worker must not go on for ever.
RETRIES = 5
# What Ray keeps in shared memory here is a few kilobytes a part. Its default is 30% of the machine's memory.
OBJECT_STORE_BYTES = 100 * 2**20

Loader = Callable[[], Predictor]


def predict_files(
    model_folder: Path | str,
    source: Path | str,
    output: Path | str,
    *,
    column: str | None = None,
    batch_size: int = BATCH_SIZE,
    address: str | None = None,
    workers: int | None = None,
    cpus: int = 1,
    gpus: float | None = None,
    part_rows: int = parts.PART_ROWS,
    suffix: str | None = None,
    options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    load: Loader | None = None,
    on_start: Callable[[parts.Plan, int], None] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Summary:
    """Score all texts of a file or a folder of files into a folder of parts.

    Run again with the same arguments, it does what is not done yet. On a cluster, the input, the output and the model
    must be in a folder that all machines see under the same path; the code is sent along.

    Args:
        model_folder: The saved model.
        source: A .csv or .parquet file, or a folder of them. See :func:`tf_model.batch.parts.plan`.
        output: The folder of parts. See :mod:`tf_model.batch.ledger`.
        column: The column of texts; found by itself if None.
        batch_size: See :meth:`~tf_model.inference.predictor.Predictor.predict`.
        address: Of a Ray cluster, such as ``"10.0.0.1:6379"``. None: the environment's ``RAY_ADDRESS``, else this
            machine alone.
        workers: How many load the model and score. None: one for each ``cpus`` CPUs, or for each ``gpus`` GPUs.
        cpus: Threads that a worker computes with.
        gpus: The share of a GPU that a worker computes on: 0.5 lets two share one, 0 keeps off them. None: a whole one,
            or what ``workers`` leave to each, where the cluster has any; on this machine, where TensorFlow can use it.
        part_rows: The most rows in a part: what is done again after an interruption, and what a worker holds in memory.
        suffix: ``".csv"`` or ``".parquet"``. None: that of the input.
        options: More arguments of ``predict``, such as ``{"probabilities": True}``.
        overwrite: Whether the output of another job, or of a run of this one that was concluded, may be replaced.
        load: Makes the predictor in a worker. None: it is loaded from ``model_folder``.
        on_start: Called once, before the work, with the plan and the number of rows that an earlier run did.
        on_progress: Called with the number of rows of each part that is done.

    Raises:
        DataError: The input cannot be read, or has a column that the predictions use.
        ModelError: The model cannot be used.
        OutputError: The output cannot be written, or is not ours to write to.
        TweetTargetError: Workers were lost again and again; the parts that are done are kept.
        UsageError: Ray is not installed or not there, it has fewer GPUs than are asked for, the output belongs to
            another job, or input and output lie in one another.
    """
    ray = import_ray()
    suffix = _output_suffix(suffix, Path(output))
    if workers is not None and workers < 1:
        raise UsageError(f"expected at least 1 worker, got {workers}")
    # Whole paths, because the workers have working directories of their own.
    model_folder, output = Path(model_folder).resolve(), Path(output).resolve()
    if Path(source).is_dir() and output.is_relative_to(Path(source).resolve()):
        raise UsageError(
            f"{output} lies in the folder that is read, and would be read by the next run; give another output folder"
        )
    plan = parts.plan(source, column, part_rows)
    if any(Path(file).is_relative_to(output) for file in {part.file for part in plan.parts}):
        raise UsageError(f"{source} lies in {output}, which is written to; give another output folder")
    options = dict(options or {})
    if load is None:
        # Before the output folder is made. A worker asks the model itself, and checks once more.
        labels = read_labels(model_folder)
        tables.refuse_collisions(plan, columns_of(labels, bool(options.get("probabilities"))))
    settings = {
        "model": model_fingerprint(model_folder),
        "suffix": suffix or plan.suffix,
        "options": options,
    }
    ledger = Ledger(output, plan, settings)
    left = ledger.look(overwrite)
    resumed = len(plan.parts) - len(left)
    is_here = not ray.is_initialized() and (address or os.environ.get(ADDRESS)) in HERE
    with connected(ray, address) if left else nullcontext():
        # Whatever stands against the job is found before an earlier one is removed.
        share = _share_of_gpu(ray, gpus, workers, is_here) if left else 0
        ledger.begin(overwrite)
        if on_start:
            on_start(plan, plan.rows - sum(part.rows for part in left))
        worker = {
            "load": load or partial(_load, model_folder, cpus),
            "ledger": ledger,
            "batch_size": batch_size,
            "options": options,
        }
        if left:
            try:
                for rows in _run(ray, left, worker, workers=workers, cpus=cpus, gpus=share):
                    if on_progress:
                        on_progress(rows)
            except ray.exceptions.RayError as error:
                kept = f"{len(ledger.done())} of {len(plan.parts)} parts are kept"
                raise TweetTargetError(
                    f"the workers were lost ({first_line(error)[:200]}); {kept}: run the same command again, with "
                    "fewer --workers where memory was short"
                ) from error
    return ledger.conclude(resumed)


def import_ray() -> Any:
    """The ``ray`` module, with its data library.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import ray
        import ray.data
        import ray.exceptions
    except ImportError as error:
        raise UsageError(
            f"this engine needs the package ray ({first_line(error)}); run `make install`, or "
            f"`python -m pip install '{PACKAGE}'`, or leave --engine out"
        ) from error
    return ray


def _output_suffix(suffix: str | None, output: Path) -> str | None:
    if output.suffix.lower() in tables.OUTPUT_SUFFIXES:
        raise UsageError(
            f"{output}: this engine writes a folder of parts, not one file; give a name without the ending "
            f"{output.suffix}"
        )
    if suffix is not None and suffix not in parts.SUFFIXES:
        raise UsageError(f"expected parts that end in {' or '.join(parts.SUFFIXES)}, got {suffix!r}")
    return suffix


# ---------------------------------------------------------------- Ray


@contextmanager
def connected(ray: Any, address: str | None) -> Iterator[None]:
    """Ray, for the length of the block: the cluster at ``address`` or ``RAY_ADDRESS``, else this machine.

    Raises:
        UsageError: There is no cluster at the address.
    """
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get(ADDRESS)
    if address in HERE:
        where: dict[str, Any] = {
            "address": "local",
            "num_cpus": cores(),
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
            "runtime_env": {"env_vars": {"PYTHONPATH": _python_path()}},
        }
        os.environ.setdefault("RAY_worker_niceness", "0")  # the plain command does not step back either
    else:
        where = {"address": address, "runtime_env": {"py_modules": [str(paths.ROOT / "tf_model")]}}
    # Ray reports its use to its makers unless it is told not to, and its C++ writes remarks to standard error.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"no Ray cluster answers at {address!r} ({first_line(error)[:200]}); check --address and {ADDRESS}, set "
            "RAY_AUTH_MODE=token if the cluster asks for a token, or leave the address out to use this machine"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _python_path() -> str:
    """Where the workers find this package, whatever their working directory."""
    return os.pathsep.join(filter(None, [str(paths.ROOT), os.environ.get("PYTHONPATH")]))


def _share_of_gpu(ray: Any, asked: float | None, workers: int | None, is_here: bool) -> float:
    """The share of a GPU that each worker gets.

    Raises:
        UsageError: More is asked for than there is: Ray would wait for it for ever.
    """
    held, count = ray.cluster_resources().get("GPU", 0), workers or 1
    if asked is None:
        # Ray counts what the driver shows; TensorFlow needs CUDA's libraries as well.
        usable = held and not (is_here and not import_tensorflow().config.list_physical_devices("GPU"))
        return min(1.0, math.floor(1e4 * held / count) / 1e4) if usable else 0.0
    if asked * count > held:
        raise UsageError(
            f"expected at least {asked * count:g} GPUs for {count} {plural(count, 'worker', 'workers')} with {asked:g} "
            f"each, found {held:g}; give fewer --workers or a smaller --gpus-per-worker"
        )
    return asked


def _run(
    ray: Any, left: list[Part], worker: dict[str, Any], *, workers: int | None, cpus: int, gpus: float
) -> Iterator[int]:
    """Have the parts done, and yield the number of rows of each as it is."""
    resources = ray.cluster_resources()
    if workers is None:
        held, each = (resources.get("GPU", 0), gpus) if gpus else (resources.get("CPU", 1), cpus)
        workers = max(int(held / each), 1)
    _quieten(ray)
    places = {part: place for place, part in enumerate(worker["ledger"].plan.parts)}
    # One block a part: it is what Ray hands out, and what it does again.
    items = ray.data.from_items([{"part": places[part]} for part in left], override_num_blocks=len(left))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # max_task_retries is to get a name of its own in Ray 2.64
        done = items.map(
            Worker,
            fn_constructor_kwargs=worker,
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(left))),
            num_cpus=cpus * SHARE,
            num_gpus=gpus,
            max_task_retries=RETRIES,
        )
    for record in done.iter_rows():
        if record["error"]:
            kind = next(each for each in _kinds(TweetTargetError) if each.__name__ == record["kind"])
            raise kind(record["error"])
        yield int(record["rows"])


def _kinds(kind: type) -> Iterator[type]:
    yield kind
    for each in kind.__subclasses__():
        yield from _kinds(each)


def _quieten(ray: Any) -> None:
    """Ray Data says a lot on standard error; the progress is ours to show."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray.data", "ray"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


class Worker:
    """One Ray actor: it loads the model at its first part, and scores one part after the other.

    An error that a user can act on is handed back as a value: raised, Ray would wrap it, and begin the part again.

    Args:
        load: Makes the predictor.
        ledger: The account of the job.
        batch_size: See :meth:`~tf_model.inference.predictor.Predictor.predict`.
        options: More arguments of :meth:`~tf_model.inference.predictor.Predictor.predict`.
    """

    def __init__(self, load: Loader, ledger: Ledger, batch_size: int, options: Mapping[str, Any]) -> None:
        self._load, self._ledger, self._batch_size, self._options = load, ledger, batch_size, options
        self._predictor: Predictor | None = None

    def __call__(self, row: dict[str, int]) -> dict[str, Any]:
        """Do one part."""
        try:
            if self._predictor is None:
                _keep_off_other_gpus()
                self._predictor = self._load()
            part = self._ledger.plan.parts[row["part"]]
            done = score_part(self._predictor, self._ledger, part, self._batch_size, self._options)
        except TweetTargetError as error:
            return {"rows": 0, "error": str(error), "kind": type(error).__name__}
        return {"rows": done.rows, "error": "", "kind": ""}


def _keep_off_other_gpus() -> None:
    """Hide the GPUs from a worker that was given none: Ray leaves it all of them, each of which it would fill."""
    if not import_ray().get_runtime_context().get_accelerator_ids().get("GPU"):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def _load(folder: Path, threads: int) -> Predictor:
    """Load a model that computes with so many threads: several workers must not each use all cores."""
    tf = import_tensorflow()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)  # another worker may share it
    return Predictor.load(folder)
