"""The container files: linted, closed to the outside, and copying only files that exist."""

import fnmatch
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import serve_set
import yaml

from tf_model import paths
from tf_model.serving.__main__ import BASE

DOCKERFILE = paths.ROOT / "Dockerfile"
COMPOSE = paths.ROOT / "compose.yaml"
DEPLOY = paths.ROOT / "tf_model" / "serving" / "deploy"
ALERTS = paths.ROOT / "tf_model" / "monitor" / "deploy" / "alerts.yml"
OURS = ("app", "api")
MODELS = ("answer", "target")


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]


def test_the_dockerfile_is_linted():
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, "--failure-threshold", "style", str(DOCKERFILE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def copied():
    """What the Dockerfile copies from this folder."""
    for line in DOCKERFILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            yield from line.split()[1:-1]


def ignored(path: str) -> bool:
    """Whether .dockerignore excludes a path: the last matching rule decides."""
    found = False
    for rule in (paths.ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if not rule or rule.startswith("#"):
            continue
        pattern = rule.removeprefix("!").removeprefix("**/")
        names = [path, *map(str, Path(path).parents), Path(path).name]
        if any(fnmatch.fnmatch(name, pattern) for name in names):
            found = not rule.startswith("!")
    return found


def test_what_is_copied_reaches_the_image():
    names = list(copied())
    assert {"tf_model", "streamlit_app", "saved_models", "build/packages"} <= set(names)
    inside = {"data": ["data/sample.csv", "data/products.csv"]}
    folders = [*MODELS, *(f".versions/{model}/1" for model in MODELS)]  # a promoted model is a link
    inside["saved_models"] = [f"saved_models/{folder}/light/network.bin" for folder in folders]
    for name in names:
        for path in inside.get(name, [name]):
            assert not ignored(path), path


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".venv/bin/python",
        "data/raw/assignment.xlsx",
        "saved_models/.monitor/predictions.sqlite",
        "saved_models/.checkpoints/answer/run.json",
        "saved_models/answer/variables",
        "build/sbom.json",
        "saved_models/.serving/answer/1/saved_model.pb",
        "saved_models/.versions/other/1/saved_model.pb",
        "saved_models/.bench/report-0/saved_model.pb",
        "saved_models/test_predictions.csv",  # holds real tweets
        "tests/conftest.py",
        "tf_model/__pycache__",
        ".env",
    ],
)
def test_what_must_stay_out_stays_out(path):
    assert ignored(path)


def test_the_image_runs_as_nobody_and_says_whether_it_is_well():
    lines = DOCKERFILE.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001:10001"]
    text = "\n".join(lines)
    delivered = [line.split()[-1] for line in lines if line.startswith("COPY --from=built ")]
    assert f"chmod -R a+rX {' '.join(sorted(delivered))} " in text, "else nobody can read what a strict umask made"
    assert "/_stcore/health" in text
    assert "HOME=/tmp" in text  # the only writable folder with a read-only root and --tmpfs /tmp


def test_the_base_is_named_by_its_digest():
    assert re.search(r"^ARG BASE=\S+:\S+@sha256:[0-9a-f]{64}$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)


def test_packages_are_sought_up_to_the_glibc_that_openvino_needs_on_arm():
    command = ["make", "--dry-run", "--always-make", "build/packages", "MACHINE=aarch64"]
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=True)
    assert "--platform manylinux_2_35_aarch64 " in done.stdout


def test_the_image_leaves_out_what_the_tests_of_the_serve_set_leave_out():
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert f"RUN /opt/{serve_set.SLIM.name} /opt/site-packages " in text
    found = {name.split("/")[0] for name in serve_set.COPIED}
    assert found <= {name.split("/")[0].removeprefix("./") for name in copied()}


def test_what_nobody_loads_is_removed_and_nothing_else(tmp_path):
    kept = [
        "pyarrow/libarrow.so.2600",
        "pyarrow/libarrow_python.so.2600",
        "openvino/libs/libopenvino.so.2641",
        "openvino/libs/libopenvino_ir_frontend.so.2641",
        "openvino/libs/libopenvino_intel_cpu_plugin.so",
        "openvino/frontend/frontend.py",
        "streamlit/static/static/js/PlotlyChart.a.js",
        "streamlit/static/static/js/DataFrame.a.js",
        "numpy.libs/libgfortran-1.so",
        "scipy.libs/libgfortran-2.so",
    ]
    removed = [
        "pandas/tests/test_a.py",
        "numpy/_core/_simd.cpython-313.so",
        "pyarrow/include/arrow/a.h",
        "pyarrow/libarrow_flight.so.2600",
        "pyarrow/libarrow_python.so",
        "pyarrow/libarrow_python.so.2600.1.0",
        "openvino/libs/libopenvino_intel_gpu_plugin.so",
        "openvino/libs/libopenvino_onnx_frontend.so.2641",
        "openvino/frontend/onnx/__init__.py",
        "streamlit/static/static/js/DeckGlJsonChart.a.js",
        "streamlit/static/static/js/pieDiagram-A.a.js",
    ]
    for name in (*kept, *removed, "scipy.libs/libgfortran-1.so"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    subprocess.run([serve_set.SLIM, tmp_path], check=True)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*kept, "scipy.libs/libgfortran-1.so"}
    assert (tmp_path / "scipy.libs/libgfortran-1.so").read_text() == "numpy.libs/libgfortran-1.so", "one of the two"


def test_nobody_can_sign_in_to_grafana(services):
    settings = services["grafana"]["environment"]
    assert settings["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == settings["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert not any("PASSWORD" in name for name in settings)


def test_every_service_is_hardened_and_open_to_this_machine_alone(services):
    assert set(services) == {"app", "api", "serving", "prometheus", "grafana"}
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name
        if name not in OURS:
            assert re.search(r":\S*\d+\.\d+\.\d+", service["image"]), f"{name} has no fixed version"


def test_what_is_mounted_is_there(services):
    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
            if source.startswith("./") and ".serving" not in source:
                assert (paths.ROOT / source).is_file(), source


def test_the_model_server_reads_what_the_layout_writes(services):
    serving = services["serving"]
    assert {f"--model_config_file={BASE}/models.config"} <= set(serving["command"])
    mounted, *settings = serving["volumes"]
    named = {line.split("=")[1] for line in serving["command"] if ".config" in line}
    assert named == {f"{BASE}/models.config", *(each.split(":")[1] for each in settings)}
    assert (mounted["source"], mounted["target"]) == ("./saved_models/.serving", BASE)
    assert mounted["read_only"]
    assert mounted["bind"] == {"create_host_path": False}, "Docker would make it for root"
    scraped = yaml.safe_load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    path = {each["job_name"]: each.get("metrics_path") for each in scraped}["tensorflow-serving"]
    assert f'path: "{path}"' in (DEPLOY / "monitoring.config").read_text(encoding="utf-8")


def test_prometheus_accepts_its_settings(tmp_path):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    for file in (DEPLOY / "prometheus.yml", ALERTS):
        shutil.copy(file, tmp_path)
    command = ["promtool", "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_both_settings_of_prometheus_scrape_the_app_by_the_same_name():
    ours, alone = (
        yaml.safe_load(file.read_text(encoding="utf-8"))
        for file in (DEPLOY / "prometheus.yml", ALERTS.with_name("prometheus.yml"))
    )
    [job] = [each["job_name"] for each in alone["scrape_configs"]]
    [target] = next(each for each in ours["scrape_configs"] if each["job_name"] == job)["static_configs"][0]["targets"]
    assert target == "app:9464"


def test_one_service_can_be_started_without_settings_of_the_others():
    # Compose reads the whole file whatever it starts, so a required variable would be required for every service.
    assert not re.search(r"\$\{\w+:?\?", COMPOSE.read_text(encoding="utf-8"))
