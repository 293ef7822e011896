"""Checkpoints: the saved state of an unfinished training run, and how the run is resumed."""

import json
import shutil
from pathlib import Path
from typing import Any

from tf_model import cli, paths
from tf_model.errors import OutputError, UsageError, count_of, first_line
from tf_model.io.files import explain_write_errors, write_json

SETTINGS = "run.json"
CALIBRATION = "calibration"  # the subfolder with the finished folds of the calibration


class Checkpoint:
    """Weights, optimizer and history after the last complete epoch, replaced together.

    A run can be resumed only with the same ``settings`` (JSON-ready). All workers resume from the state of
    ``worker`` 0, the chief; the others save into their own folders, because TensorFlow may ask every worker to save.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], worker: int = 0):
        self.folder = folder
        self._save_folder = folder / f"worker-{worker}" if worker else folder
        self.settings = json.loads(json.dumps(settings))
        self._manager: Any = None
        self._history: Any = None

    def epochs_done(self) -> int:
        """The number of epochs in the checkpoint."""
        import tensorflow as tf

        latest = tf.train.latest_checkpoint(str(self.folder))
        return int(latest.rpartition("-")[2]) if latest else 0

    def progress(self) -> str:
        """The saved progress in words; empty if there is none."""
        if epochs := self.epochs_done():
            return count_of(epochs, "epoch")
        folds = len(list((self.folder / CALIBRATION).rglob("*.npz")))  # not trained again
        return f"{count_of(folds, 'fold')} of the calibration" if folds else ""

    def open(self, *, resume: bool, restart: bool) -> None:
        """Resume an unfinished run or start anew; :class:`UsageError` if neither was asked for, or settings differ."""
        progress = self.progress()
        if restart or not progress:
            shutil.rmtree(self.folder, ignore_errors=True)
        elif not resume:
            raise UsageError(
                f"{paths.shown(self.folder)} holds an unfinished run ({progress}); add --resume to continue it, or "
                "--restart to start again"
            )
        else:
            saved = json.loads((self.folder / SETTINGS).read_text(encoding="utf-8"))
            names = sorted({*saved, *self.settings})
            changed = [name for name in names if saved.get(name) != self.settings.get(name)]
            # The identity of the data is hashes and a list of columns: nothing to read.
            changes = [f"{name} was {'another' if name == 'data' else saved.get(name)}" for name in changed]
            if changes:
                raise UsageError(
                    f"the unfinished run in {paths.shown(self.folder)} had other settings ({', '.join(changes)}); "
                    "resume with those, or add --restart to start again"
                )
            cli.say(f"resuming after {progress}")

    def make_folder(self) -> None:
        """Create the folder; :class:`OutputError` if that fails, before the training rather than after it."""
        with explain_write_errors(self._save_folder):
            self._save_folder.mkdir(parents=True, exist_ok=True)
        if self._save_folder == self.folder and not (self.folder / SETTINGS).is_file():
            write_json(self.folder / SETTINGS, self.settings)

    def restore(self, model: Any) -> list[dict[str, float]]:
        """Load the last state into ``model`` if there is one, and return the history so far."""
        import tensorflow as tf

        self._history = tf.Variable("[]", dtype=tf.string, trainable=False)
        state = tf.train.Checkpoint(model=model, optimizer=model.optimizer, history=self._history)
        self._manager = tf.train.CheckpointManager(state, str(self._save_folder), max_to_keep=1)
        latest = tf.train.latest_checkpoint(str(self.folder))
        if latest:
            state.restore(latest).assert_existing_objects_matched()
        return json.loads(self._history.numpy())

    def save(self, history: list[dict[str, float]]) -> None:
        """Save the current state; the previous one is removed only when this one is complete."""
        import tensorflow as tf

        self.make_folder()
        self._history.assign(json.dumps(history))
        with explain_write_errors(self.folder):
            try:
                self._manager.save(checkpoint_number=len(history))
            except tf.errors.OpError as error:
                raise OutputError(
                    f"cannot write the checkpoint in {self.folder}: {first_line(error)}; "
                    "the epochs before it are kept: free some space, then add --resume"
                ) from error

    def remove(self) -> None:
        """Delete the checkpoint: the run is over."""
        shutil.rmtree(self.folder, ignore_errors=True)
