"""`import verax` shows every public name, loads its folder on first use, and says when there is none."""

import subprocess
import sys
import types
from pathlib import Path

import pytest

import verax as vx
from verax._modules import make_callable

SOURCE = Path(vx.__file__).parent
NOT_SHOWN = {"cli"}  # run by the command `verax`


def test_every_folder_is_shown():
    folders = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    files = {path.stem for path in SOURCE.glob("*.py") if not path.stem.startswith("_")}
    assert set(vx._FOLDERS) == (folders | files) - NOT_SHOWN


@pytest.mark.parametrize("name", vx._FOLDERS)
def test_a_folder_is_an_attribute(name):
    assert getattr(vx, name) is sys.modules[f"verax.{name}"]


@pytest.mark.parametrize(("name", "folder"), vx._FOLDER_OF.items())
def test_a_name_is_the_one_of_its_folder(name, folder):
    module = getattr(vx, folder)
    assert getattr(vx, name) is getattr(module, name)
    assert name in getattr(module, "__all__", dir(module))


def test_names_are_listed_before_they_are_loaded():
    program = "import verax as vx; assert {'train', 'Experiment'} <= set(dir(vx)); vx.findings; vx.InputError"
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'verax' has no attribute 'Experimant'"):
        vx.Experimant  # noqa: B018
    assert not hasattr(vx, "__wrapped__")


@pytest.mark.parametrize("name", ["train", "tune", "evaluate", "certify"])
def test_a_verb_is_a_folder_and_a_function(name):
    folder = getattr(vx, name)
    assert callable(folder)
    assert isinstance(folder, types.ModuleType)


def test_a_called_folder_calls_its_function_and_shows_its_signature(monkeypatch):
    import inspect
    import pydoc

    def make(inputs: int, *, scale: float = 2.0) -> float:
        """Returns inputs times scale.

        Example:
          >>> make(1)
        """
        return inputs * scale

    folder = types.ModuleType("verax.make", "Things that make.")
    folder.other = 3
    monkeypatch.setitem(sys.modules, "verax.make", folder)
    make_callable("verax.make", make)

    assert folder(2, scale=3.0) == 6.0
    assert folder.other == 3
    assert inspect.signature(folder) == inspect.signature(make)
    shown = pydoc.plain(pydoc.render_doc(folder))
    for text in (
        "Things that make.",
        "make(inputs: int, *, scale: float = 2.0) -> float",
        "Returns inputs times scale.",
    ):
        assert text in shown
    assert ">>>" not in shown
    with pytest.raises(TypeError, match="scales"):
        folder(2, scales=3.0)
