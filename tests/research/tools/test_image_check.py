"""The check of the image starts containers as compose.yaml does."""

from __future__ import annotations

import shutil

import pytest
import yaml

from research.tools import image_check
from tf_model import paths
from tf_model.errors import TweetTargetError


@pytest.mark.parametrize(("name", "memory"), [("app", "2g"), ("api", "1g")])
def test_a_container_has_the_limits_of_compose(name, memory):
    service = yaml.safe_load((paths.ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"][name]
    options = image_check.run_options(service)
    assert {"--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"} <= {*options}
    assert options[options.index("--memory") + 1] == service["mem_limit"] == memory
    assert options[options.index("--pids-limit") + 1] == "1024"
    known = {"image", "pull_policy", "restart", "command", "ports", "volumes", "healthcheck", "environment"}
    known |= {"stop_grace_period", "logging"}  # the check stops it with its own limit, before its log grows
    assert service.keys() <= known | {"read_only", "mem_limit", "pids_limit", "tmpfs", "cap_drop", "security_opt"}


def test_a_program_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "podman" else f"/usr/bin/{name}")
    with pytest.raises(TweetTargetError, match=r"expected podman on this machine.*apt-get install mmdebstrap podman"):
        image_check.main([])
