"""Setup: three version lists that agree, commands that answer at once, imports without side effects."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import version

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tf_model import paths

PROJECT = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKS = ("requirements.lock", "requirements-gpu.lock", "requirements-serve.lock")
COMMANDS = sorted(
    path.parent.name if path.stem == "__main__" else path.stem
    for path in (paths.ROOT / "tf_model").rglob("*.py")
    if "cli.run(main)" in path.read_text(encoding="utf-8")
)


@cache
def read_lock(name):
    """Requirements of a lock file, each with its hashes."""
    lines = (paths.ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    entries = [line.split(" --hash=") for line in lines if line.strip() and not line.startswith("#")]
    return [(Requirement(first), [found.strip() for found in hashes]) for first, *hashes in entries]


def environment():
    """Conda's packages in ``environment.yml``, and pip's."""
    dependencies = yaml.safe_load((paths.ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    [pip] = [each["pip"] for each in dependencies if isinstance(each, dict)]
    return [each for each in dependencies if isinstance(each, str)], pip


# ------------------------------------------------------------------------------------------------ pinned versions


def test_make_gives_pip_a_value_that_it_can_read():
    command = ["make", "--silent", "--eval", "shown: ; @printenv PIP_USER", "shown"]
    assert subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout == "0\n"


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_one_version_of_each_package_with_hashes(name):
    entries = read_lock(name)
    assert len(entries) > 10
    for requirement, hashes in entries:
        assert re.fullmatch(r"==[0-9][\w.!+]*", str(requirement.specifier)), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", found) for found in hashes), requirement
    names = [canonicalize_name(requirement.name) for requirement, _ in entries]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_address(name):
    text = (paths.ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert " @ " not in text
    assert set(re.findall(r"(?<!\S)--?[a-z][\w-]*", text)) == {"--hash"}


@pytest.mark.parametrize("name", LOCKS)
def test_pytorch_is_not_locked(name):
    names = {canonicalize_name(requirement.name) for requirement, _ in read_lock(name)}
    assert not names & {"torch", "torchvision", "sentence-transformers", "triton"}


def test_the_gpu_lock_holds_nvidias_libraries_alone():
    assert all(requirement.name.startswith("nvidia-") for requirement, _ in read_lock("requirements-gpu.lock"))


def test_what_serves_is_what_was_trained_with():
    trained = {canonicalize_name(each.name): str(each.specifier) for each, _ in read_lock("requirements.lock")}
    served = {canonicalize_name(each.name): str(each.specifier) for each, _ in read_lock("requirements-serve.lock")}
    assert served == {name: trained.get(name) for name in served}


@pytest.mark.parametrize("uv", ["true", "false", "no-such-command"])
def test_a_resolver_that_changes_nothing_or_fails_leaves_the_locks_as_they_are(tmp_path, uv):
    for name in ("Makefile", "pyproject.toml", *LOCKS):
        shutil.copy(paths.ROOT / name, tmp_path)
    done = subprocess.run(["make", "lock", f"UV={uv}"], cwd=tmp_path, capture_output=True, check=False)
    assert bool(done.returncode) == (uv != "true")
    for name in LOCKS:
        assert (tmp_path / name).read_bytes() == (paths.ROOT / name).read_bytes(), name


def test_conda_installs_what_is_locked():
    conda, pip = environment()
    assert pip == ["-r requirements.lock"]
    assert "pip" in conda


def test_condas_python_is_a_supported_one_and_readme_and_makefile_name_them():
    conda, _ = environment()
    [python] = [re.fullmatch(r"python ?=+ ?(3\.\d+)", each)[1] for each in conda if each.startswith("python")]
    supported = SpecifierSet(PROJECT["requires-python"])
    assert python in supported
    first, *_, last = [minor for minor in range(30) if f"3.{minor}" in supported]
    words = {"README.md": f"Python 3.{first} to 3.{last}", "Makefile": f"(3, {first}) <= v[:2] <= (3, {last})"}
    assert all(each in (paths.ROOT / page).read_text(encoding="utf-8") for page, each in words.items())


OPTIONAL = PROJECT["optional-dependencies"]
UNLOCKED = {"gpu", "teacher"}  # libraries of one system; weights
DIRECT = [*PROJECT["dependencies"], *(each for extra in sorted(OPTIONAL.keys() - UNLOCKED) for each in OPTIONAL[extra])]


@pytest.mark.parametrize("dependency", [*DIRECT, *OPTIONAL["gpu"]])
def test_every_direct_dependency_is_locked_with_a_version_that_satisfies_it(dependency):
    wanted = Requirement(dependency)
    locked = {canonicalize_name(each.name): each for each, _ in read_lock("requirements.lock")}
    [pin] = locked[canonicalize_name(wanted.name)].specifier
    assert wanted.specifier.contains(pin.version)


@pytest.mark.parametrize("dependency", DIRECT)
def test_what_runs_here_is_what_is_locked(dependency):
    name = Requirement(dependency).name
    locked = {canonicalize_name(each.name): each for each, _ in read_lock("requirements.lock")}
    assert version(name) in locked[canonicalize_name(name)].specifier


# ----------------------------------------------------------------------------------------- help that answers at once

HELP = """
import resource, runpy, sys
sys.argv = ["{module}", "--help"]
try:
    runpy.run_module("{module}", run_name="__main__")
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    packages = {{"tensorflow", "transformers", "keras", "tf_keras", "keras_nlp", "tensorflow_text", "pandas"}}
    packages |= {{"pooch", "pyarrow", "requests", "rich", "scipy", "sklearn", "sqlite3"}}
    heavy = packages & {{*sys.modules}}
    print(used.ru_utime + used.ru_stime, *sorted(heavy), file=sys.stderr)
"""


def ask_for_help(command):
    """What a command prints for ``--help``, the processor time in seconds, and the heavy packages it imported."""
    script = HELP.format(module=f"tf_model.{command}")
    done = subprocess.run([sys.executable, "-c", script], cwd=paths.ROOT, capture_output=True, text=True, check=True)
    seconds, *heavy = done.stderr.split()
    return done.stdout, float(seconds), heavy


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_there_in_less_than_a_second_without_heavy_packages(command):
    text, seconds, heavy = ask_for_help(command)
    assert heavy == []
    # Processor time, measured again if too long, so that other load hardly counts.
    assert seconds < 1 or ask_for_help(command)[1] < 1
    assert text.startswith(f"usage: python -m tf_model.{command} ")
    assert "--help" in text


# -------------------------------------------------------------------------------------- imports that do nothing else

IMPORT_ALL = """
import json, logging, os, pkgutil, signal, sys, warnings
from importlib import import_module

from tf_model.device import import_tensorflow
import_tensorflow()  # what others do at import is not ours
import openpyxl, pandas, pyarrow, rich, sklearn, tf_model

before, done = dict(os.environ), []

def watch(event, arguments):
    if event == "open":
        mode, flags = arguments[1], arguments[2]
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND):
            done.append([event, str(arguments[0])])
    elif event in {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.chmod", "os.link", "os.symlink",
                   "os.putenv", "os.system", "subprocess.Popen", "socket.connect", "tempfile.mkstemp",
                   "tempfile.mkdtemp", "shutil.copyfile"}:
        done.append([event, *map(str, arguments)])

handlers, filters = list(logging.root.handlers), list(warnings.filters)
signals = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
level = logging.root.level
fresh = [name for name in sys.modules if name.startswith("tf_model.")]
for name in fresh:
    del sys.modules[name]
sys.addaudithook(watch)
names = [module.name for module in pkgutil.walk_packages(tf_model.__path__, "tf_model.")]
for name in names:
    import_module(name)
found = {
    "names": names,
    "done": list(done),
    "environment": dict(os.environ) == before,
    "logging": (logging.root.handlers, logging.root.level) == (handlers, level),
    "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == signals,
    "folder": os.listdir("."),
}
sys.__stdout__.write("found " + json.dumps(found))
"""


def test_importing_any_module_writes_prints_and_changes_nothing(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(paths.ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert done.stdout.startswith("found ")  # nothing before it
    found = json.loads(done.stdout.removeprefix("found "))
    sources = {path.relative_to(paths.ROOT).with_suffix("") for path in (paths.ROOT / "tf_model").rglob("*.py")}
    modules = {".".join(source.parts).removesuffix(".__init__") for source in sources}
    assert set(found.pop("names")) == modules - {"tf_model"}
    assert found == {"done": [], "environment": True, "logging": True, "signals": True, "folder": []}
