"""What holds for the whole project: public names are documented, files name no machine, the version is told."""

import importlib
import inspect
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

import verax

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "verax"
FOLDERS = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))

# Written so that this file does not match itself.
REGISTRY = re.compile(
    r"[p]ypi\.org|[p]ythonhosted\.org|[n]pmjs\.(org|com)|--(extra-)?[i]ndex-url|https?://[^\s\"]+/[s]imple/"
)
MACHINE = re.compile(r"(?<![\w.<}])/(?:[w]ork|[f]arm|[t]mp/contract|[t]mp/v|[r]oot|[h]ome/\w+)/")


def undocumented(module) -> list[str]:
    """Returns what is wrong with a contents page: no `__all__`, a name in it that is missing or has no docstring."""
    names = getattr(module, "__all__", None)
    if not names:
        return ["__all__ is missing or empty"]
    problems = [f"{name} does not exist" for name in names if not hasattr(module, name)]
    for name in names:
        value = getattr(module, name, None)
        if inspect.isclass(value):
            own = vars(value).get("__doc__") or ""
            written = bool(own) and not own.startswith(f"{value.__name__}(")  # dataclass and NamedTuple write one
        else:
            written = not inspect.isroutine(value) or bool(inspect.getdoc(value))  # a constant needs none
        if not written:
            problems.append(f"{name} has no docstring")
    return problems


def unwelcome(text: str) -> list[str]:
    """Returns the package registries and the paths of one machine that a text names."""
    return [match.group() for pattern in (REGISTRY, MACHINE) for match in pattern.finditer(text)]


def tracked_files() -> list[Path]:
    """Returns the files that git tracks or would track."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout to know which files belong to the project.")
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("folder", FOLDERS)
def test_public_names_exist_and_are_documented(folder):
    module = importlib.import_module(f"verax.{folder}")
    assert undocumented(module) == []
    assert module.__doc__


def test_a_missing_name_or_docstring_is_found():
    class Documented:
        """Says what it is."""

    def silent(): ...

    page = inspect.getmodule(test_a_missing_name_or_docstring_is_found).__class__("page")
    assert undocumented(page) == ["__all__ is missing or empty"]
    page.Documented, page.Silent, page.silent, page.limit = Documented, type("Silent", (), {}), silent, 3
    page.__all__ = ["Documented", "limit"]
    assert undocumented(page) == []
    page.__all__ = ["Silent", "silent", "gone"]
    assert undocumented(page) == ["gone does not exist", "Silent has no docstring", "silent has no docstring"]


def test_no_file_names_a_registry_or_a_machine():
    found = {}
    for path in tracked_files():
        try:
            names = unwelcome(path.read_text())
        except UnicodeDecodeError:  # a picture or an archive
            continue
        if names:
            found[str(path.relative_to(ROOT))] = names
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "pip install --index" + "-url x",
        "https://py" + "pi.org/project/verax",
        "http://mirror/sim" + "ple/jax",
        "open('/wo" + "rk/main/x')",
        "see /ro" + "ot/.cache/x",
        "/ho" + "me/someone/x",
    ],
)
def test_a_registry_or_a_machine_is_found(text):
    assert len(unwelcome(text)) == 1


@pytest.mark.parametrize(
    "text", ["pip install verax", "runs/work/x", "https://docs.jax.dev/en/latest/", "~/.cache/verax"]
)
def test_other_text_is_not_reported(text):
    assert unwelcome(text) == []


def test_the_changelog_tells_this_version():
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == verax.__version__


def test_python_and_jax_are_bounded_as_documented():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"
    assert "jax>=0.10.2,<0.13" in project["dependencies"]
    assert project["scripts"] == {"verax": "verax.cli:main"}
