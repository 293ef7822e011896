"""Signed models: what was signed verifies, and nothing else does."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tf_model import signing
from tf_model.errors import ModelError, UsageError


@pytest.fixture
def signed(tmp_path, keys):
    """A signed folder."""
    folder = tmp_path / "answer"
    (folder / "variables").mkdir(parents=True)
    (folder / "labels.json").write_text("{}")
    (folder / "variables" / "data").write_text("numbers")
    signing.signer(keys[0])(folder)
    return folder


def test_a_signed_folder_verifies_also_under_another_name_and_signed_again(signed, keys):
    signing.verify(signed, keys[1])
    other = signed.rename(signed.with_name("other"))
    signing.verify(other, keys[1])
    (other / "more").touch()
    signing.signer(keys[0])(other)
    signing.verify(other, keys[1])


def replace(path: Path) -> None:
    path.unlink()
    path.symlink_to("labels.json")


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (lambda folder: (folder / "variables" / "data").write_text("others"), "Hash mismatch for 'variables/data'"),
        (lambda folder: (folder / "variables" / "data").unlink(), "Missing files"),
        (lambda folder: (folder / "added").touch(), "Extra files"),
        (lambda folder: (folder / "link").symlink_to("/etc/hostname"), "it is a symlink"),
        (lambda folder: replace(folder / "variables" / "data"), "it is a symlink"),
        (lambda folder: (folder / "model.sig").unlink(), "is not signed"),
        (lambda folder: (folder / "model.sig").write_text("{}"), "cannot be verified"),
        (lambda folder: (folder / "model.sig").write_bytes(b"\xff" * 99), "cannot be verified"),
        (lambda folder: (folder / "model.sig").write_text("[" * 100_000), "cannot be verified"),
    ],
)
def test_what_is_not_as_it_was_signed_is_refused_in_a_line(signed, keys, alter, words):
    alter(signed)
    with pytest.raises(ModelError, match=words) as refused:
        signing.verify(signed, keys[1])
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 500


def test_the_words_of_a_signature_cannot_be_changed(signed, keys):
    bundle = json.loads((signed / "model.sig").read_text())
    payload = bundle["dsseEnvelope"]["payload"]
    bundle["dsseEnvelope"]["payload"] = payload[:-8] + payload[:4] + payload[-4:]
    (signed / "model.sig").write_text(json.dumps(bundle))
    with pytest.raises(ModelError, match="cannot be verified"):
        signing.verify(signed, keys[1])


def test_another_key_does_not_verify(signed, tmp_path):
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    other = tmp_path / "other.pub"
    other.write_bytes(public.public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(ModelError, match="Key mismatch"):
        signing.verify(signed, other)


@pytest.mark.parametrize("name", ["../outside", "{}/outside", "variables/../../outside"])
def test_a_signed_name_outside_the_folder_is_refused(signed, keys, monkeypatch, name):
    """Even if the key signed it: the file exists, with the signed content."""
    from model_signing._serialization.file import Serializer

    outside = signed.parent / "outside"
    outside.write_text("numbers")
    serialize = Serializer.serialize

    def add(self, folder, **options):
        from model_signing import manifest

        made = serialize(self, folder, **options)
        digest = next(each.digest for each in made.resource_descriptors() if each.identifier == "variables/data")
        items = [
            manifest.FileManifestItem(path=Path(each.identifier), digest=each.digest)
            for each in made.resource_descriptors()
        ]
        items.append(manifest.FileManifestItem(path=Path(name.format(signed.parent)), digest=digest))
        return manifest.Manifest(made.model_name, items, made._serialization_type)

    with monkeypatch.context() as patch:
        patch.setattr(Serializer, "serialize", add)
        signing.signer(keys[0])(signed)
    with pytest.raises(ModelError, match="Missing files"):
        signing.verify(signed, keys[1])


def test_what_is_no_key_is_said(signed, keys, tmp_path):
    private, public = keys
    curve = ec.generate_private_key(ec.SECP256R1())
    no_curve = ed25519.Ed25519PrivateKey.generate()
    contents = {
        "text": b"text",
        "password": curve.private_bytes(
            pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.BestAvailableEncryption(b"secret")
        ),
        "ed25519": no_curve.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()),
        "ed25519.pub": no_curve.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for file in (public, *(tmp_path / name for name in ("text", "password", "ed25519", "missing"))):
        with pytest.raises(UsageError, match="expected an elliptic-curve key without a password"):
            signing.signer(file)
    for file in (private, *(tmp_path / name for name in ("text", "ed25519.pub", "missing"))):
        with pytest.raises(UsageError, match=r"\(for --verify the public one\), got: (something else|No such file)"):
            signing.verify(signed, file)
