"""Which files of a folder are checked."""

import os
import sys
from pathlib import Path

import pytest

from verax.findings import InputError
from verax.lint._files import files, forget_packages, module_name


def made(folder, *names, **ignored):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name, text in ignored.items():
        where = folder if name == "root" else folder / name
        where.mkdir(parents=True, exist_ok=True)
        (where / ".gitignore").write_text(text)
    return folder


def below(folder, **about):
    return [each.relative_to(folder).as_posix() for each in files([folder], folder, **about)]


def test_python_files_and_notebooks_are_found_in_order(tmp_path):
    made(tmp_path, "b.py", "a.py", "a/c.pyi", "a/d.ipynb", "a/b/c.py", "x.txt", "README.md", "a/X.PY")
    assert below(tmp_path) == ["a.py", "b.py", "a/X.PY", "a/c.pyi", "a/d.ipynb", "a/b/c.py"]
    assert "README.md" in below(tmp_path, markdown=True)


def test_caches_environments_and_what_is_built_are_passed_over(tmp_path):
    made(
        tmp_path, "a.py", "env/pyvenv.cfg", "env/lib/a.py", ".venv/a.py", "build/a.py", "dist/a.py", ".tox/a.py",
        "a/__pycache__/a.py", "lib/site-packages/b/a.py", "node_modules/a.py", "x.egg-info/a.py", "kept/CACHEDIR.TAG",
        "kept/a.py",
        "conda/conda-meta/x", "conda/a.py", ".git/hooks/a.py", ".ipynb_checkpoints/a.ipynb", "src/build/__init__.py",
        ".github/a.py",
    )  # fmt: skip
    assert below(tmp_path) == ["a.py", ".github/a.py", "src/build/__init__.py"]


def test_a_folder_that_is_named_is_entered_whatever_it_is(tmp_path):
    made(tmp_path, "site-packages/flax/a.py", "env/pyvenv.cfg", "env/lib/a.py")
    assert below(tmp_path / "site-packages") == ["flax/a.py"]
    assert below(tmp_path / "env") == ["lib/a.py"]
    made(tmp_path, ".git/x", "env/lib/b.py", "env/.gitignore", root="env/\nsite-*\n")
    (tmp_path / "env" / ".gitignore").write_text("b.py\n")
    assert below(tmp_path / "env") == ["lib/a.py"]
    assert below(tmp_path / "site-packages" / "flax") == ["a.py"]
    assert below(tmp_path) == []


def test_gitignore_files_are_obeyed(tmp_path):
    made(
        tmp_path, ".git/x", "a.py", "gen_1.py", "gen_keep.py", "out/a.py", "deep/out/a.py", "top/a.py", "deep/top/a.py",
        "deep/local.py", "deep/gen_2.py", "other/local.py", "a b/c.py", "#x.py",
        root="# a comment\ngen_*.py\n!gen_keep.py\nout/\n/top\n\\#x.py\n", deep="local.py\n!gen_2.py\n",
    )  # fmt: skip
    expected = ["a.py", "gen_keep.py", "a b/c.py", "deep/gen_2.py", "deep/top/a.py", "other/local.py"]
    assert below(tmp_path) == expected
    assert below(tmp_path / "deep") == ["gen_2.py", "top/a.py"]


def test_gitignore_files_above_the_repository_do_not_count(tmp_path):
    made(tmp_path, "repo/.git/x", "repo/a.py", root="a.py\n")
    assert below(tmp_path / "repo") == ["a.py"]


def test_patterns_of_the_settings_come_first(tmp_path):
    made(tmp_path, "a.py", "old/b.py", "old/keep.py", "x/old.py", old="!b.py\n")
    assert below(tmp_path, exclude=["old/", "a.py"]) == ["x/old.py"]


def test_a_file_that_is_named_is_always_checked_and_once(tmp_path):
    made(tmp_path, ".git/x", "a.py", "b.txt", root="a.py\n")
    named = [tmp_path / "a.py", tmp_path / "b.txt", tmp_path / "a.py", tmp_path]
    assert files(named, tmp_path, ["*.txt"]) == [tmp_path / "a.py", tmp_path / "b.txt"]


def test_this_folder_is_shown_without_a_dot(tmp_path, monkeypatch):
    made(tmp_path, "a.py", "b/c.py")
    monkeypatch.chdir(tmp_path)
    assert list(map(str, files([Path(".")], tmp_path))) == ["a.py", os.path.join("b", "c.py")]


def test_what_does_not_exist_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.py does not exist\."):
        files([tmp_path / "absent.py"], tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="makes symbolic links")
def test_links_do_not_go_in_circles(tmp_path):
    made(tmp_path, "a/b.py", "out.txt")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "a" / "linked.py").symlink_to(tmp_path / "a" / "b.py")
    (tmp_path / "a" / "gone.py").symlink_to(tmp_path / "absent")
    (tmp_path / "a" / "self.py").symlink_to(tmp_path / "a" / "self.py")
    (tmp_path / "a" / "folder.py").mkdir()
    os.mkfifo(tmp_path / "a" / "pipe.py")
    assert below(tmp_path) == ["a/b.py", "a/linked.py"]


def test_the_name_of_a_module_is_by_the_packages_around_it(tmp_path):
    made(tmp_path, "src/a/__init__.py", "src/a/b/__init__.py", "src/a/b/c.py", "src/d/e.py")
    forget_packages()
    for name, expected in {
        "src/a/__init__.py": ("a", True),
        "src/a/b/__init__.py": ("a.b", True),
        "src/a/b/c.py": ("a.b.c", False),
        "src/d/e.py": ("e", False),
    }.items():
        assert module_name(tmp_path / name)[:2] == expected
