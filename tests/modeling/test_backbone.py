"""Backbones: located, checked, and refused in one clear line."""

import json
import shutil
import zipfile
from types import SimpleNamespace

import pytest
from huggingface_hub import errors as hub_errors
from requests import Response

from tf_model.errors import ModelError, UsageError
from tf_model.modeling import backbone


@pytest.fixture
def folder(tiny_bert, tmp_path):
    """A copy of the tiny BERT that a test may damage."""
    return shutil.copytree(tiny_bert, tmp_path / "bert")


def refusal(name):
    """The error message for the backbone ``name``."""
    with pytest.raises(ModelError) as refused:
        backbone.find(str(name))
    message = str(refused.value)
    assert "\n" not in message
    return message


# -------------------------------------------------------------------------------------------- the packaged weights


def test_the_packaged_backbone_is_the_official_release():
    found = backbone.find("minilm")
    assert found.sha256 == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert found.lower_case
    assert found.name == "minilm"
    assert "sentence-transformers/all-MiniLM-L6-v2" in found.source
    tokens = found.vocabulary.read_text(encoding="utf-8").splitlines()
    assert len(tokens) == 30_522
    assert tokens[101:104] == ["[CLS]", "[SEP]", "[MASK]"]


@pytest.mark.parametrize(("file", "position"), [("vocab.txt", 1000), ("model.safetensors", -5)])
def test_one_changed_byte_is_refused(file, position, tmp_path, monkeypatch):
    packaged = backbone.find("minilm").folder
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "vocab.txt", "model.safetensors"):
        (folder / name).symlink_to(packaged / name)
    content = bytearray((packaged / file).read_bytes())
    content[position] ^= 1
    (folder / file).unlink()
    (folder / file).write_bytes(content)
    monkeypatch.setattr(backbone, "find_spec", lambda _: SimpleNamespace(origin=str(tmp_path / "__init__.py")))
    message = refusal("minilm")
    (folder / file).unlink()  # 90 MB
    assert str(folder / file) in message
    assert "has sha256" in message
    assert backbone.PACKAGED_SHA256[file] in message
    assert "damaged or has been changed" in message
    assert "make install" in message


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(backbone, "PACKAGE", "no-such-package-of-weights")
    message = refusal("minilm")
    assert "no-such-package-of-weights" in message
    assert "not installed; run `make install`" in message


@pytest.fixture
def parts(tiny_mpnet, tmp_path, monkeypatch):
    """Packages that hold the zipped tiny MPNet in parts; its hashes stand in for those of the release."""
    with zipfile.ZipFile(tmp_path / "whole.zip", "w") as whole:
        (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true}')
        for file in [*(tiny_mpnet / name for name in backbone.FILES), tmp_path / "tokenizer_config.json"]:
            whole.write(file, f"all-mpnet-base-v2/{file.name}")
    content = (tmp_path / "whole.zip").read_bytes()
    monkeypatch.syspath_prepend(tmp_path)
    sha256 = {name: backbone.sha256_of(tiny_mpnet / name) for name in backbone.MPNET_SHA256}
    monkeypatch.setattr(backbone, "MPNET_SHA256", sha256)
    monkeypatch.setattr(backbone, "MPNET_PARTS", tuple(f"part_of-mpnet_00{number}" for number in range(1, 6)))
    files = []
    for number, name in enumerate(backbone.MPNET_PARTS):
        files.append(tmp_path / name / "input" / f"all-mpnet-base-v2.zip.00{number + 1}")
        files[-1].parent.mkdir(parents=True)
        (tmp_path / name / "__init__.py").touch()
        files[-1].write_bytes(content[len(content) * number // 5 : len(content) * (number + 1) // 5])
    backbone._joined_mpnet.cache_clear()
    yield files
    backbone._joined_mpnet.cache_clear()


def test_the_parts_of_mpnet_are_joined(parts, tiny_mpnet):
    found = backbone.find("mpnet")
    assert (found.name, found.model_type, found.max_tokens, found.lower_case) == ("mpnet", "mpnet", 128, True)
    assert "sentence-transformers/all-mpnet-base-v2" in found.source
    assert found.sha256 == backbone.sha256_of(tiny_mpnet / "model.safetensors")
    assert backbone.find("mpnet").folder == found.folder  # joined once
    found.check_length(128)
    with pytest.raises(UsageError, match="reads at most 128 tokens"):
        found.check_length(129)


def test_a_missing_part_of_mpnet_is_named(parts):
    shutil.rmtree(parts[2].parents[1])
    assert "the package part-of-mpnet-003 with the weights is not installed; run `make inst" in refusal("mpnet")


@pytest.mark.parametrize("damage", [lambda part: part[:-9], lambda part: part[:99] + b"other" + part[104:]])
def test_a_changed_part_of_mpnet_is_refused(parts, damage):
    parts[1].write_bytes(damage(parts[1].read_bytes()))
    message = refusal("mpnet")
    assert "a part is missing or has been changed" in message
    assert "make install-teacher" in message


def test_a_zip_file_of_another_kind_is_refused(parts):
    last = parts[-1].read_bytes()
    at = last.index(b"PK\x01\x02") + 6  # the version that is needed to unpack the first file
    parts[-1].write_bytes(last[:at] + b"\xff" + last[at + 1 :])
    assert "cannot be joined (zip file version 25.5)" in refusal("mpnet")


def test_other_weights_of_mpnet_than_the_release_are_refused(parts, monkeypatch):
    monkeypatch.setattr(backbone, "MPNET_SHA256", backbone.MPNET_SHA256 | {"vocab.txt": "0" * 64})
    message = refusal("mpnet")
    assert f"not {'0' * 64}: it is damaged or has been changed" in message
    assert "make install-teacher" in message


# -------------------------------------------------------------------------------------------------- a local folder


def test_a_local_folder_is_found(tiny_bert):
    found = backbone.find(str(tiny_bert))
    assert (found.folder, found.vocabulary, found.source) == (tiny_bert, tiny_bert / "vocab.txt", "local folder")
    assert len(found.sha256) == 64


@pytest.mark.parametrize(
    ("options", "lower_case"),
    [(None, True), ({}, True), ({"do_lower_case": True}, True), ({"do_lower_case": False}, False)],
)
def test_whether_letter_case_counts_is_read_from_the_tokenizers_settings(folder, options, lower_case):
    if options is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(options))
    assert backbone.find(str(folder)).lower_case is lower_case


def change_settings(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def test_any_changed_file_makes_it_another_one(folder):
    found = [backbone.find(str(folder))]
    change_settings(folder, hidden_dropout_prob=0.3)
    found.append(backbone.find(str(folder)))
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    found.append(backbone.find(str(folder)))
    assert len({each.identity for each in found}) == 3
    assert len({each.sha256 for each in found}) == 1


def test_inputs_longer_than_the_backbone_has_positions_for_are_refused(folder):
    change_settings(folder, max_position_embeddings=20)
    found = backbone.find(str(folder))
    found.check_length(20)
    with pytest.raises(UsageError, match="reads at most 20 tokens, but inputs may have 21; lower --max-tokens"):
        found.check_length(21)


@pytest.mark.parametrize("value", ["many", None])
def test_a_number_of_positions_that_is_none_is_refused(folder, value):
    change_settings(folder, max_position_embeddings=value)
    assert refusal(folder).startswith(f"config.json of the backbone {folder} is damaged or in another format (")


@pytest.mark.parametrize("file", backbone.FILES)
def test_a_missing_file_is_named(folder, file):
    (folder / file).unlink()
    message = refusal(folder)
    assert f"has no {file}" in message
    assert str(folder) in message
    assert "choose another backbone" in message


def test_an_empty_folder_lacks_everything(tmp_path):
    assert "has no config.json, vocab.txt, model.safetensors in" in refusal(tmp_path)


@pytest.mark.parametrize("file", ["pytorch_model.bin", "tf_model.h5"])
def test_weights_in_pickle_or_hdf5_are_not_read(folder, file):
    (folder / "model.safetensors").rename(folder / file)
    assert f"has no model.safetensors in {folder} (weights in pickle or HDF5 files are not read)" in refusal(folder)


NO_JSON = (b"", b"<html>404</html>", b"\xff\xfe", b'["x"]')


@pytest.mark.parametrize(
    ("file", "content"),
    [
        *(("model.safetensors", size) for size in (0, 5, 2000, -1)),  # half downloaded
        ("model.safetensors", b"\x80\x04cos\nsystem\n(S'true'\ntR." + b"\0" * 100),  # a pickle
        ("vocab.txt", b"[PAD]\n\xff\xfe"),
        *(("config.json", content) for content in NO_JSON),
        *(("tokenizer_config.json", content) for content in NO_JSON),
    ],
)
def test_a_damaged_file_is_refused(folder, file, content):
    content = (folder / file).read_bytes()[:content] if isinstance(content, int) else content
    (folder / file).write_bytes(content)
    message = refusal(folder)
    assert message.startswith(f"{file} of the backbone {folder} is damaged or in another format (")
    assert "download it again" in message


@pytest.mark.parametrize("model_type", ["roberta", None])
def test_what_is_not_a_bert_is_refused(folder, model_type):
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = model_type
    (folder / "config.json").write_text(json.dumps(config))
    message = refusal(folder)
    assert f"is a {model_type!r} model, not a BERT" in message
    assert '"model_type": "bert"' in message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda tokens: tokens[1:], "lacks [PAD]"),
        (lambda tokens: [token for token in tokens if token != "[MASK]"], "lacks [MASK]"),
        (lambda tokens: [token for token in tokens if token not in ("[CLS]", "[UNK]")], "lacks [UNK], [CLS]"),
        (lambda tokens: [*tokens[1:], "[PAD]"], "does not begin with [PAD]"),
        (lambda tokens: [*tokens, "more"], "has {more} tokens, but its config.json only {size}"),
        (lambda tokens: [], "lacks [PAD], [UNK], [CLS], [SEP]"),
    ],
)
def test_a_vocabulary_that_does_not_fit_is_refused(folder, vocabulary, change, expected):
    (folder / "vocab.txt").write_text("\n".join(change(vocabulary)) + "\n", encoding="utf-8")
    message = refusal(folder)
    assert message.startswith(f"vocab.txt of the backbone {folder} ")
    assert expected.format(more=len(vocabulary) + 1, size=len(vocabulary)) in message


def test_a_token_may_be_a_character_that_separates_lines(folder, vocabulary):
    tokens = [*vocabulary[:-2], "\u2028", "\x85"]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    assert backbone.find(str(folder)).folder == folder


def test_a_file_instead_of_a_folder_is_refused(tiny_bert):
    message = refusal(tiny_bert / "config.json")
    assert "is a file; give a folder that holds config.json, vocab.txt, model.safetensors" in message


@pytest.mark.parametrize("name", ["./no-such-folder", "/no/such/folder", "~/no-such-folder", "no/such/folder"])
def test_a_folder_that_does_not_exist_is_not_looked_for_on_the_hub(name, monkeypatch):
    monkeypatch.setattr(backbone, "_download", lambda name: pytest.fail("asked the hub"))
    message = refusal(name)
    assert f"the backbone folder {name} does not exist" in message
    assert "config.json, vocab.txt, model.safetensors" in message


# --------------------------------------------------------------------------------------------------------- the hub


@pytest.fixture
def hub(monkeypatch):
    """A function that replaces the hub's download, and returns the list of its calls."""

    def answer(with_what):
        calls = []

        def snapshot_download(name, **options):
            calls.append((name, options))
            if isinstance(with_what, Exception):
                raise with_what
            return str(with_what)

        monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
        return calls

    return answer


def test_a_hub_model_is_downloaded_without_any_pickle(hub, tiny_bert):
    calls = hub(tiny_bert)
    found = backbone.find("someone/a-bert")
    [(name, options)] = calls
    assert name == "someone/a-bert"
    assert sorted(options["allow_patterns"]) == [
        "config.json",
        "model.safetensors",
        "tokenizer_config.json",
        "vocab.txt",
    ]
    assert (found.source, found.folder) == ("huggingface.co/someone/a-bert", tiny_bert)


@pytest.mark.parametrize("name", ["bert-base-uncased", "someone/a-model-that-nobody-has"])
def test_offline_a_hub_name_is_one_clear_line(name, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    message = refusal(name)
    assert f"the hub cannot be reached and {name!r} is not in the local cache" in message
    assert "--backbone minilm, which needs no network" in message


def response(status):
    found = Response()
    found.status_code = status
    return found


@pytest.mark.parametrize(
    ("error", "is_silent"),
    [
        (hub_errors.RepositoryNotFoundError("404 Client Error.\n\nNot Found", response=response(404)), False),
        (hub_errors.GatedRepoError("403 Client Error.\nAccess is restricted", response=response(403)), False),
        (hub_errors.HFValidationError("Repo id must use alphanumeric chars"), False),
        (hub_errors.LocalEntryNotFoundError("Cannot find the requested files in the disk cache"), True),
        (hub_errors.HfHubHTTPError("503 Server Error", response=response(503)), True),
        (ConnectionError("Connection refused"), True),
        (TimeoutError("timed out"), True),
    ],
)
def test_what_the_hub_does_not_know_or_answer_is_one_clear_line(hub, error, is_silent):
    hub(error)
    unknown = "the hub has no public model 'someone/no-such-bert'; give minilm, another hub name"
    assert ("the hub cannot be reached" if is_silent else unknown) in refusal("someone/no-such-bert")


def test_a_hub_model_without_safetensors_is_refused(hub, folder):
    (folder / "model.safetensors").unlink()
    hub(folder)
    assert "someone/a-bert has no model.safetensors" in refusal("someone/a-bert")
