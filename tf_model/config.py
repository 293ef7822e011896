"""Training configurations ("recipes" on the command line and in ``recipe.json``): the settings of a training run."""

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import Field, ValidationError
from pydantic.dataclasses import dataclass

from tf_model.errors import ModelError, UsageError
from tf_model.model_dir import RECIPE
from tf_model.preprocessing.cleaning import CLEANINGS, MAX_TOKENS
from tf_model.tasks import EMOTIONS, Task
from tf_model.tasks import TARGET as TARGET_TASK

PACKAGED_BACKBONE = "minilm"
Share = Annotated[float, Field(ge=0, lt=1)]


def _setting(default: Any, meaning: str) -> Any:
    """A field with its help on the command line."""
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, config={"strict": True, "extra": "forbid"})
class TrainingConfig:
    """All settings of one training run."""

    name: str = "report"  # of the configuration that the settings are based on
    backbone: str = _setting(PACKAGED_BACKBONE, "minilm, mpnet, a hub name such as bert-base-uncased, or a folder")
    cleaning: Literal[*CLEANINGS] = _setting("report", "how texts are cleaned")
    pooling: Literal["cls", "mean"] = _setting(
        "cls", "what is classified: the output of the first token, or the mean of all"
    )
    max_tokens: Annotated[int, Field(ge=3, le=512)] = _setting(
        MAX_TOKENS, "most tokens of an input, special tokens included"
    )
    epochs: Annotated[int, Field(ge=1)] = _setting(
        10, "passes over the training rows; the recipe report has 10 with any backbone but minilm"
    )
    batch_size: Annotated[int, Field(ge=1)] = _setting(32, "examples per step, over all devices")
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = _setting(1e-5, "peak learning rate of Adam")
    schedule: Literal["constant", "linear"] = _setting("constant", "linear: warm-up from 0, then linear decay to 0")
    warmup: Share = _setting(0.0, "share of the steps with a rising learning rate (linear only)")
    label_smoothing: Share = _setting(0.0, "share of each label that is spread evenly over all classes")
    r_drop: Annotated[float, Field(ge=0, allow_inf_nan=False)] = _setting(
        0.0, "weight of the difference between two passes with different dropout (R-Drop); above 0: twice the work"
    )
    lora_rank: Annotated[int, Field(ge=0)] = _setting(
        0, "rank of adapters to train instead of the encoder; 0: train the encoder"
    )
    joined_pairs: Share = _setting(0.0, "pairs of texts that train as one text (targets), as a share of the examples")
    opinion_pairs: Share = _setting(
        0.0, "pairs of opinions written for this project (targets), as a share of the examples"
    )
    teacher_weight: Annotated[float, Field(ge=0, le=1)] = _setting(
        0.5, "weight of the teachers' predictions beside the label"
    )
    teacher_temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = _setting(
        1.0, "above 1: softens the teachers' predictions"
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = _setting(
        42, "for the classification layer, dropout and the order of examples"
    )
    split_seed: Annotated[int, Field(ge=0, lt=2**32)] = _setting(42, "for the split into training and validation rows")
    validation_size: Annotated[float, Field(gt=0, lt=1)] = _setting(0.2, "share of the examples that validate")

    def __str__(self) -> str:
        """All settings in one line, for the log."""
        return ", ".join(f"{name} {value}" for name, value in self.to_dict().items())

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON-ready values."""
        return asdict(self)

    def for_tasks(self, model_tasks: Sequence[Task]) -> Self:
        """The configuration for these tasks: pairs are for targets alone, and opinions for their own classes.

        Raises :class:`UsageError` for targets if the cleaning removes the marks of the mentions.
        """
        if [task.name for task in model_tasks] != [TARGET_TASK.name]:
            return replace(self, joined_pairs=0.0, opinion_pairs=0.0)
        if not CLEANINGS[self.cleaning].reads_mentions:
            raise UsageError(
                f"--task target needs a cleaning that masks the mention, and {self.cleaning!r} does not: the products "
                "of a text would all get the same emotion; leave out --recipe and --cleaning, or add --cleaning target"
            )
        return self if model_tasks[0].labels == EMOTIONS else replace(self, opinion_pairs=0.0)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` returned; :class:`UsageError` if a field is unknown or a value out of range."""
        try:
            return cls(**values)
        except ValidationError as error:
            details = error.errors()[0]
            name = ".".join(map(str, details["loc"]))
            message = details["msg"][0].lower() + details["msg"][1:]
            raise UsageError(f"recipe setting {name}: {message}, got {details['input']!r}") from error


# Exactly the report's settings. Its 10 epochs are for bert-base-uncased; the packaged 6-layer BERT learns more slowly
# at the same rate and takes 20: the best, and the most that were tried, in a cross-validation inside the training part
# (`make choose-epochs`, research/benchmarks.md). Never tuned on the validation part.
REPORT = TrainingConfig(name="report")
REPORT_EPOCHS = {PACKAGED_BACKBONE: 20}

# Lightly normalised text, the pooling that the packaged backbone was pretrained with, and a higher learning rate with
# warm-up and decay. Chosen on other folds than those reported, without a recorded search.
TUNED = TrainingConfig(
    name="tuned",
    cleaning="normalized",
    pooling="mean",
    epochs=5,
    learning_rate=1e-4,
    schedule="linear",
    warmup=0.1,
)
# Product and emotion in one model: 2.6 times as many rows, so fewer epochs (chosen on other folds, results.md). The
# cleaning removes "RT @user:" and a "!" at the end. Otherwise a model learns that retweets are more often neutral and
# that "!" means praise, and answers the same words differently.
ANSWER = replace(TUNED, name="answer", cleaning="normalized_trimmed", epochs=3)
# The emotion directed at one mention, which the cleaning masks. The shares of pairs were chosen without a record.
TARGET = replace(TUNED, name="target", cleaning="target", epochs=3, joined_pairs=0.15, opinion_pairs=0.3)
CONFIGS = {config.name: config for config in (REPORT, TUNED, ANSWER, TARGET)}


def make_config(name: str, **overrides: Any) -> TrainingConfig:
    """The recipe ``name`` with the ``overrides`` that are not None; :class:`UsageError` if a value is out of range."""
    settings = {key: value for key, value in overrides.items() if value is not None}
    config = CONFIGS[name]
    backbone = settings.get("backbone", config.backbone)
    if name == REPORT.name and "epochs" not in settings:
        settings["epochs"] = REPORT_EPOCHS.get(backbone, REPORT.epochs)
    return TrainingConfig.from_dict(config.to_dict() | settings)


def config_of(folder: Path, values: Mapping[str, Any]) -> TrainingConfig:
    """The recipe of a saved model, from the ``values`` of its ``recipe.json``; :class:`ModelError` if unusable."""
    if not values:
        raise ModelError(f"{folder} has no {RECIPE}; train the model again")
    try:
        return TrainingConfig.from_dict(values)
    except UsageError as error:
        raise ModelError(f"{RECIPE} of {folder} cannot be used ({error}); train the model again") from error


def add_config_arguments(parser: argparse.ArgumentParser, without: Collection[str] = ()) -> None:
    """Add an option for each field of :class:`TrainingConfig` but some; options not given keep the recipe's value."""
    parser.add_argument(
        "--recipe",
        choices=sorted(CONFIGS),
        help=f"settings to start from (default: {ANSWER.name} and {TARGET.name} for these tasks, else {REPORT.name})",
    )
    group = parser.add_argument_group("settings (each overrides the recipe's)")
    for setting in fields(TrainingConfig)[1:]:  # all but the name
        if setting.name in without:
            continue
        recipe_values = "; ".join(f"{config}: {getattr(make_config(config), setting.name)}" for config in CONFIGS)
        group.add_argument(
            f"--{setting.name.replace('_', '-')}",
            type=type(setting.default),
            choices=get_args(setting.type) if get_origin(setting.type) is Literal else None,
            default=None,
            help=f"{setting.metadata['meaning']} ({recipe_values})",
        )


def parse_config(arguments: argparse.Namespace) -> TrainingConfig:
    """The recipe that parsed arguments ask for."""
    names = [setting.name for setting in fields(TrainingConfig)[1:]]
    task = getattr(arguments, "task", None)
    default = task if task in (ANSWER.name, TARGET.name) else REPORT.name
    if task != TARGET.name and (arguments.joined_pairs or arguments.opinion_pairs):
        raise UsageError(f"--joined-pairs and --opinion-pairs need --task {TARGET.name}; leave them out")
    return make_config(arguments.recipe or default, **{name: getattr(arguments, name, None) for name in names})
