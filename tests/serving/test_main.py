"""What TensorFlow Serving reads: versions, and settings, checked with its published messages."""

import os
import shutil
from pathlib import Path

import pytest

from tf_model import paths
from tf_model.errors import ModelError, UsageError
from tf_model.model_dir import SAVED_MODEL, TRAININGS, is_of_training, training_of, write_manifest
from tf_model.serving import __main__ as command

DEPLOY = paths.ROOT / "tf_model" / "serving" / "deploy"


@pytest.fixture
def model(random_models, tmp_path) -> Path:
    return shutil.copytree(random_models / "product", tmp_path / "product")


def published(**messages: list[tuple[str, int, str]]):
    """The class of the first of ``messages``, each given by its fields (name, number, type); ``*`` means repeated.

    TensorFlow Serving publishes the messages; the package with their Python modules is not a dependency.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(
        name="stated.proto", package="stated", syntax="proto3", dependency=["google/protobuf/wrappers.proto"]
    )
    for name, stated in messages.items():
        message = file.message_type.add(name=name)
        for field, number, kind in stated:
            added = message.field.add(name=field, number=number, label=3 if "*" in kind else 1)
            kind = kind.strip("*")
            if kind in ("int32", "bool", "string"):
                added.type = {"int32": 5, "bool": 8, "string": 9}[kind]
            else:
                added.type, added.type_name = 11, kind if kind.startswith(".") else f".stated.{kind}"
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"stated.{next(iter(messages))}"))


def test_a_layout_holds_a_model_that_answers(model, tmp_path):
    import tensorflow as tf

    folder = command.write_layout([model], tmp_path / "serving")
    [version] = (folder / "product").iterdir()
    assert int(version.name) // TRAININGS == int((model / "saved_model.pb").stat().st_mtime)
    assert is_of_training(version.name, training_of(model))
    assert {each.name for each in version.iterdir()} <= {*SAVED_MODEL}, "only what TensorFlow wrote"
    files = [each.relative_to(version) for each in version.rglob("*") if each.is_file()]
    assert all((version / each).read_bytes() == (model / each).read_bytes() for each in files)
    loaded = tf.saved_model.load(str(version))  # kept, as signatures do not keep variables
    texts = tf.constant(["a text", "I love my ipad", "great android apps", "the new iphone"])
    served = loaded.signatures["serving_default"](text=texts)
    assert len({*served["product"].numpy().tolist()}) > 1


def test_a_model_that_is_there_is_left_alone_and_another_stands_beside_it(model, tmp_path):
    folder = command.write_layout([model], tmp_path / "serving")
    [version] = (folder / "product").iterdir()
    (version / "mark").touch()
    (folder / "models.config").unlink()
    command.write_layout([model], folder)  # one of several models was retrained, or the command was interrupted
    assert (version / "mark").is_file()
    assert (folder / "models.config").is_file()

    (model / "fingerprint.pb").unlink()  # it may be the same file
    (model / "fingerprint.pb").write_bytes(b"of another training, saved earlier")
    write_manifest(model)
    os.utime(model / "saved_model.pb", (1_000_000_000, 1_000_000_000))
    command.write_layout([model], folder)
    versions = sorted(int(each.name) for each in (folder / "product").iterdir())
    assert versions[0] == int(version.name)
    assert versions[1] // TRAININGS == versions[0] // TRAININGS + 1
    assert [is_of_training(str(each), training_of(model)) for each in versions] == [False, True]
    newest = folder / "product" / str(versions[-1])
    assert training_of(newest) == training_of(model), "the server serves the highest number"


def test_two_models_of_one_name_and_folders_without_a_whole_model(model, tmp_path):
    with pytest.raises(UsageError, match="two models have the same name: product, product"):
        command.write_layout([model, model], tmp_path / "serving")
    with pytest.raises(ModelError, match="holds no complete model"):
        command.write_layout([tmp_path], tmp_path / "serving")
    (model / "variables" / "variables.index").write_bytes(b"half of a copy")
    with pytest.raises(ModelError, match=r"variables\.index is damaged, or comes from another training"):
        command.write_layout([model], tmp_path / "serving")
    assert not (tmp_path / "serving").exists()


def test_a_promoted_model_is_served_by_its_name(model, tmp_path):
    version = tmp_path / ".versions" / "product" / "2"
    version.parent.mkdir(parents=True)
    model.rename(version)
    model.symlink_to(version)
    folder = command.write_layout([model], tmp_path / "serving")
    [number] = (folder / "product").iterdir()
    assert (number / "saved_model.pb").is_file()
    assert 'name: "product"' in (folder / "models.config").read_text()


def test_the_model_settings_fit_the_published_message(model, tmp_path):
    from google.protobuf import text_format

    # tensorflow_serving/config/model_server_config.proto, file_system_storage_path_source.proto
    kind = published(
        ModelServerConfig=[("model_config_list", 1, "ModelConfigList")],
        ModelConfigList=[("config", 1, "*ModelConfig")],
        ModelConfig=[
            ("name", 1, "string"),
            ("base_path", 2, "string"),
            ("model_platform", 4, "string"),
            ("model_version_policy", 7, "ServableVersionPolicy"),
        ],
        ServableVersionPolicy=[("latest", 100, "Latest")],
        Latest=[("num_versions", 1, "int32")],
    )
    quoted = 'so "called" \\ é\n'
    models = [model, *(shutil.copytree(model, tmp_path / name) for name in ("answer", quoted))]
    text = (command.write_layout(models, tmp_path / "serving") / "models.config").read_text(encoding="utf-8")
    configs = text_format.Parse(text, kind()).model_config_list
    assert [(each.name, each.base_path, each.model_platform) for each in configs.config] == [
        ("product", "/models/product", "tensorflow"),
        ("answer", "/models/answer", "tensorflow"),
        (quoted, f"/models/{quoted}", "tensorflow"),
    ]
    assert configs.config[0].model_version_policy.latest.num_versions == 1


def test_the_batching_settings_fit_the_published_message():
    from google.protobuf import text_format

    wrapped = ".google.protobuf.Int64Value"
    # tensorflow_serving/servables/tensorflow/session_bundle_config.proto
    kind = published(
        BatchingParameters=[
            ("max_batch_size", 1, wrapped),
            ("batch_timeout_micros", 2, wrapped),
            ("max_enqueued_batches", 3, wrapped),
            ("num_batch_threads", 4, wrapped),
            ("enable_large_batch_splitting", 8, ".google.protobuf.BoolValue"),
        ]
    )
    found = text_format.Parse((DEPLOY / "batching.config").read_text(encoding="utf-8"), kind())
    assert found.max_batch_size.value == 64
    assert not found.HasField("num_batch_threads"), "another machine may serve the folder"
    assert found.enable_large_batch_splitting.value is True


def test_the_monitoring_settings_fit_the_published_message():
    from google.protobuf import text_format

    # tensorflow_serving/config/monitoring_config.proto, PrometheusConfig
    kind = published(PrometheusConfig=[("enable", 1, "bool"), ("path", 2, "string")])
    text = (DEPLOY / "monitoring.config").read_text(encoding="utf-8")
    inner = text.removeprefix("prometheus_config {").rstrip().removesuffix("}")
    found = text_format.Parse(inner, kind())
    assert (found.enable, found.path) == (True, "/monitoring/prometheus/metrics")


def test_the_command_says_what_it_wrote(model, tmp_path, capsys):
    assert command.main([str(model), "--output", str(tmp_path / "serving")]) == 0
    said = capsys.readouterr().err
    assert "1 model is in " in said
    assert "will not be served" not in said
    assert (tmp_path / "serving" / "models.config").is_file()
    shutil.copytree(model, tmp_path / "brands")
    assert command.main([str(tmp_path / "brands"), "--output", str(tmp_path / "serving")]) == 0
    assert f"note: {model.name!r} from earlier runs will not be served" in capsys.readouterr().err
