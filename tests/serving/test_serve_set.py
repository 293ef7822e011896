"""The container's packages are enough to predict and to run the app; `make image-check` installs them."""

import json
import os
import re
import subprocess
import sys
import urllib.request
import venv
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import serve_set

from research.tools.app_client import crowd
from research.tools.browser import running_app
from tf_model import tasks

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """The Python of an environment with only the locked serve set, linked from this environment."""
    folder = tmp_path_factory.mktemp("serve") / "venv"
    venv.create(folder, with_pip=False)
    target = serve_set.packages_of(folder)
    names = re.findall(r"^([A-Za-z0-9._-]+)==", serve_set.LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(names) > 30
    for name in names:
        try:
            files = distribution(name).files
        except PackageNotFoundError:
            pytest.skip(f"{name} of the serve set is not installed here")
        for file in files or []:
            if ".." not in file.parts:
                (target / file).parent.mkdir(parents=True, exist_ok=True)
                (target / file).symlink_to(file.locate())
    subprocess.run([serve_set.SLIM, target], check=True)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def app(trained, tmp_path_factory) -> Path:
    """The app as the image has it."""
    folder = tmp_path_factory.mktemp("image") / "app"
    serve_set.copy_app(folder, trained[0])
    return folder


def test_only_the_serve_set_is_seen(python, app):
    code = "import sys; from importlib.util import find_spec as find; "
    code += "print(find('pandas').origin, *filter(find, sys.argv[1:]), *sys.path, sep='\\n')"
    origin, *lines = serve_set.run(python, app, "-c", code, *serve_set.ABSENT).stdout.splitlines()
    assert Path(origin).is_relative_to(python.parent.parent)
    assert not {*serve_set.ABSENT} & {*lines}
    assert not any(Path(sys.prefix) == Path(line) or sys.prefix + os.sep in line for line in lines)


def test_the_command_line_predicts_and_explains_and_names_what_it_lacks_in_one_line(python, app):
    code = "import sys; from tf_model.predict import main; main(['--text', sys.argv[1]]); "
    code += "main(['--text', 'my iPad broke', '--explain']); "
    code += "from tf_model import cli; cli.run(lambda _: main(['a.csv', '--output', 'a', '--engine', 'ray']))"
    (app / "a.csv").write_text("text\nan ipad\n")
    done = serve_set.run(python, app, "-c", code, serve_set.QUESTION)
    assert done.returncode == 2, done.stderr
    assert "this engine needs the package ray" in done.stderr
    assert "Traceback" not in done.stderr
    line, explained = done.stdout.splitlines()[1], done.stdout.partition("my iPad broke")[2]
    assert line.startswith(f'"{serve_set.QUESTION}",')
    assert any(label in line for label in tasks.PRODUCTS)
    assert all(word in explained for word in ("my", "iPad", "broke"))


def test_the_api_answers(python, app):
    command = [python, "-m", "tf_model.api", "--port", "0"]
    with subprocess.Popen(command, cwd=app, env=serve_set.clean_environment(), stderr=subprocess.PIPE) as server:
        address = server.stderr.readline().decode().split()[-1]
        body = json.dumps({"texts": [serve_set.QUESTION]}).encode()
        request = urllib.request.Request(f"{address}/predict", body, {"Content-Type": "application/json"})
        [prediction] = json.load(urllib.request.urlopen(request, timeout=60))["predictions"]
        server.terminate()
    assert prediction["product"] in tasks.PRODUCTS


def test_the_app_answers(python, app):
    with running_app(python=python, folder=app, environment=serve_set.clean_environment()) as address:
        [asked] = crowd(address, people=1, questions=1, think=0, texts=[serve_set.QUESTION])
    assert any(product in asked.sentence for product in tasks.PRODUCTS), asked
