import functools
import importlib
import sys

import pytest

from tests.train import cases
from verax.findings import InputError
from verax.train import SourceFile, read_source
from verax.train._source import source_of


def file(tmp_path, text, name="experiment.py"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_function_is_made_from_the_text_that_was_read(tmp_path):
    path = file(tmp_path, "def experiment(width=3):\n    return width\n")
    source = read_source(path)
    path.write_text("def experiment(): return 'changed'")
    assert source.function()(width=4) == 4
    assert source_of(source.function()) == source
    assert len(source.sha256) == 64


def test_a_file_may_import_its_neighbours_and_define_classes(tmp_path):
    file(tmp_path, "WIDTH = 5", "neighbour_of_the_experiment.py")
    text = (
        "from __future__ import annotations\nimport dataclasses\nimport neighbour_of_the_experiment as near\n"
        "@dataclasses.dataclass\nclass Size:\n    width: int = near.WIDTH\n"
        "def experiment():\n    return Size().width\n"
    )
    assert read_source(file(tmp_path, text)).function()() == 5
    sys.path.remove(str(tmp_path))


def test_a_function_in_a_file_has_a_source_and_others_have_none():
    assert source_of(cases.experiment).path == cases.__file__
    for without in (lambda: 1, functools.partial(cases.experiment), cases.experiment(), len):
        assert source_of(without) is None

    def inside():
        return 1

    assert source_of(inside) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def train(): pass\n", r"must define a function experiment\(\.\.\.\) .* It defines: train\."),
        ("experiment = 3\n", r"must define a function experiment\(\.\.\.\) .* It defines no function\."),
        ("def experiment(:\n", r"experiment\.py:1: not valid Python: "),
        ("import sys\nsys.exit(3)\n", r"ended the program while it was loaded"),
    ],
    ids=["other name", "no function", "syntax", "exit"],
)
def test_a_source_without_an_experiment_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_source(file(tmp_path, text)).function()


def test_files_that_are_no_source_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"expected a Python file such as experiment\.py, got .*notes\.txt"):
        read_source(tmp_path / "notes.txt")
    with pytest.raises(InputError, match=r"nowhere\.py does not exist\. Give the Python file that defines experiment"):
        read_source(tmp_path / "nowhere.py")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe\x00")
    for name in ("folder.py", "binary.py"):
        with pytest.raises(InputError, match=r"(is a folder|cannot be read as Python source)"):
            read_source(tmp_path / name)


def test_a_line_number_in_the_file_survives(tmp_path):
    source = SourceFile(str(tmp_path / "experiment.py"), "\n\ndef experiment():\n    raise KeyError('here')\n")
    with pytest.raises(KeyError) as caught:
        source.function()()
    assert (caught.traceback[-1].lineno + 1, str(caught.traceback[-1].path)) == (4, str(tmp_path / "experiment.py"))


def test_a_decorated_function_is_found_in_its_own_file(tmp_path, monkeypatch):
    (tmp_path / "wrappers.py").write_text(
        "import functools\n"
        "def logged(function):\n"
        "    @functools.wraps(function)\n"
        "    def wrapper(*args, **kwargs):\n"
        "        return function(*args, **kwargs)\n"
        "    return wrapper\n"
    )
    (tmp_path / "decorated.py").write_text(
        "from wrappers import logged\n@logged\ndef experiment(hidden: int = 3):\n    return hidden\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("decorated")
    assert source_of(module.experiment).path.endswith("decorated.py")
