"""What other tools find the linter by: flake8's entry point, pre-commit's hooks."""

import ast
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from verax.lint._flake8 import Plugin

ROOT = Path(__file__).parents[2]
NAN = "import jax.numpy as jnp\n\n\nx = 1\nx == jnp.nan\nx == jnp.nan  # noqa: VX604\n"
NAN += "x == jnp.nan  # verax: ignore[VX6]\nx == jnp.nan  # noqa\n"


def flake8(folder, *words, stdin=None):
    """Runs flake8 with the plugin that the package registers."""
    (folder / "setup.cfg").write_text("[flake8]\n")  # no settings of a folder above
    command = [sys.executable, "-m", "flake8", "--config", "setup.cfg", "--select", "VX,E9", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, input=stdin)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_flake8_shows_the_reports(tmp_path):
    (tmp_path / "a.py").write_text(NAN)
    expected = ":5:1: VX604 this comparison with NaN is always false. Use isnan."
    assert flake8(tmp_path, "a.py") == [f"a.py{expected}"]
    assert flake8(tmp_path, "-", stdin=NAN) == [f"stdin{expected}"]
    (tmp_path / "pyproject.toml").write_text("[tool.verax.lint]\nignore = ['VX604']\n")
    assert flake8(tmp_path, "a.py") == []


def test_a_syntax_error_is_flake8s_own(tmp_path):
    (tmp_path / "a.py").write_text("import jax\ndef f(:\n")
    found = flake8(tmp_path, "a.py")
    assert len(found) == 1 and "E999" in found[0]


def test_the_entry_point_names_the_plugin():
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["flake8.extension"]
    module, _, name = points["VX"].partition(":")
    assert getattr(import_module(module), name) is Plugin


def test_a_rule_that_raises_is_shown_by_flake8(monkeypatch, tmp_path):
    from verax.lint._rule import Rule

    def check(module):
        raise KeyError("planted")
        yield

    planted = {"VX999": Rule("VX999", "planted", "error", check)}
    monkeypatch.setattr("verax.lint._settings.all_rules", lambda: planted)
    [found] = Plugin(ast.parse("import jax\n"), ["import jax\n"], str(tmp_path / "a.py")).run()
    assert found[:3] == (1, 0, "VX000 the rule VX999 of Verax raised: KeyError: 'planted'")


@pytest.mark.parametrize("place", [0, 1])
def test_hooks_of_pre_commit_run_the_command(place, tmp_path):
    hook = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())[place]
    assert {"id", "name", "entry", "language", "types_or"} <= set(hook)
    (tmp_path / "a.py").write_text(NAN)
    command = [sys.executable, "-m", *hook["entry"].split(), "a.py"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 1 - place
