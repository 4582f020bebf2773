"""`verax lint`: words, formats, exit codes, stdin, fixes, watching; quick, and without JAX."""

import io
import json
import os
import subprocess
import sys

import pytest

from verax.cli import main
from verax.lint import all_rules

NAN = "import jax.numpy as jnp\nx == jnp.nan\n"
MENDED = "import jax.numpy as jnp\njnp.isnan(x)\n"
LINE = "a.py:2:1: VX604 this comparison with NaN is always false. Use isnan.\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "a.py").write_text(NAN)
    return tmp_path


class Bytes(io.TextIOWrapper):
    """Stdin that holds a text."""

    def __init__(self, content):
        super().__init__(io.BytesIO(content))


@pytest.mark.parametrize("words", [[], ["."], ["a.py"], ["a.py", "a.py"], ["--no-cache"], ["--jobs", "2"]])
def test_what_is_found_is_printed_and_is_1(words, folder, capsys):
    assert main(["lint", *words]) == 1
    assert capsys.readouterr().out == LINE


def test_nothing_found_is_0_and_silent(folder, capsys):
    (folder / "a.py").write_text(MENDED)
    assert main(["lint"]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--ignore", "VX6"], 0),
        (["--select", "VX1,VX2"] if {"VX101", "VX201"} <= set(all_rules()) else ["--ignore", "VX604"], 0),
        (["--select", "nan-comparison"], 1),
        (["--per-file-ignores", "a.py:VX604"], 0),
        (["--per-file-ignores", "b.py:VX604,*.py:VX6"], 0),
        (["--exclude", "a.py"], 0),
        (["--exclude", "a.py", "a.py"], 1),
        (["--extend-select", "VX6"], 1),
        (["--target-jax", "0.6.2"], 1),
    ],
)
def test_words_are_settings(words, code, folder):
    assert main(["lint", *words]) == code


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--selct", "VX1"], "unknown option --selct. Did you mean --select?"),
        (["--fixx"], "unknown option --fixx. Did you mean --fix?"),
        (["--select", "VX6O4"], "unknown rule 'VX6O4' in select. Did you mean 'VX604'?"),
        (["--explain", "VX6O4"], "unknown rule 'VX6O4'."),
        (["--output-format", "xml"], "xml"),
        (["--per-file-ignores", "VX604"], "per-file-ignores must be of the form 'tests/*:VX1', got 'VX604'."),
        (["--target-jax", "new"], "target-jax must be a version such as 0.6.2, got 'new'."),
        (["--jobs", "0"], "must be at least 1, got 0"),
        (["absent.py"], "absent.py does not exist."),
        (["a.py", "-"], "either files are checked or stdin, got both."),
        (["--select"], "expected one argument"),
    ],
)
def test_misuse_is_2_and_names_the_word(words, expected, folder, capsys):
    assert main(["lint", *words]) == 2
    said = capsys.readouterr()
    assert said.out == "" and expected in said.err and "Traceback" not in said.err


def test_a_rule_that_raises_is_2_and_named(folder, capsys, monkeypatch):
    from verax.lint._rule import Rule

    def check(module):
        raise KeyError("planted")
        yield

    rules = {"VX604": all_rules()["VX604"], "VX999": Rule("VX999", "planted", "error", check)}
    monkeypatch.setattr("verax.lint._settings.all_rules", lambda: rules)
    assert main(["lint"]) == 2
    said = capsys.readouterr()
    assert said.out == LINE
    assert said.err == "error: a rule of Verax raised on a.py: VX999: KeyError: 'planted' Please report this.\n"


def test_notes_alone_are_0(folder, capsys, monkeypatch):
    from verax.lint._rule import Found, Rule

    def check(module):
        yield Found(module.tree.body[0], "think of it.")

    monkeypatch.setattr(
        "verax.lint._settings.all_rules", lambda: {"VX604": Rule("VX604", "nan-comparison", "note", check)}
    )
    assert main(["lint"]) == 0
    assert capsys.readouterr().out == "a.py:1:1: VX604 think of it.\n"


def test_other_formats(folder, capsys):
    assert main(["lint", "--output-format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)[0]["file"] == "a.py"
    assert main(["lint", "--output-format", "sarif"]) == 1
    assert json.loads(capsys.readouterr().out)["version"] == "2.1.0"
    assert main(["lint", "--output-format", "github"]) == 1
    assert capsys.readouterr().out.startswith("::error file=a.py,line=2")
    assert main(["lint", "--output-format", "junit"]) == 1
    assert "<testsuites" in capsys.readouterr().out
    assert main(["lint", "--statistics"]) == 1
    assert capsys.readouterr().out == "     1  VX604  nan-comparison\n"
    assert main(["lint", "--statistics", "--output-format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)[0]["count"] == 1


def test_rules_are_listed_and_explained(capsys):
    assert main(["lint", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == list(all_rules())
    assert main(["lint", "--explain", "nan-comparison"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("VX604  nan-comparison  error\n\nA comparison with NaN") and "Good:" in said
    assert main(["lint", "--explain", "vx604", "--output-format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "nan-comparison"
    assert main(["lint", "--list", "--output-format", "json"]) == 0
    assert [each["code"] for each in json.loads(capsys.readouterr().out)] == list(all_rules())


def test_the_page_of_a_rule_is_also_found_by_verax_explain(capsys):
    assert main(["explain", "VX604"]) == 0
    assert capsys.readouterr().out.startswith("VX604  nan-comparison")


def test_fixes_are_written_and_the_rest_is_printed(folder, capsys):
    (folder / "a.py").write_text(NAN + "jnp.nan in x\n")
    assert main(["lint", "--fix"]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("a.py:3:1: VX604 NaN equals nothing") and said.err == "Mended 1 in 1 file.\n"
    assert (folder / "a.py").read_text() == MENDED + "jnp.nan in x\n"
    (folder / "a.py").write_text(NAN)
    assert main(["lint", "--fix"]) == 0
    assert main(["lint", "--fix"]) == 0
    assert (folder / "a.py").read_text() == MENDED


def test_a_diff_writes_nothing(folder, capsys):
    assert main(["lint", "--diff"]) == 1
    assert capsys.readouterr().out == (
        "--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n import jax.numpy as jnp\n-x == jnp.nan\n+jnp.isnan(x)\n"
    )
    assert (folder / "a.py").read_text() == NAN
    (folder / "a.py").write_text(MENDED)
    assert main(["lint", "--diff"]) == 0


def test_a_file_that_cannot_be_written_is_said(folder, capsys, monkeypatch):
    from pathlib import Path

    def refuse(path, data):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert main(["lint", "--fix"]) == 2
    assert "error: a.py cannot be written: Permission denied." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "file"),
    [(["-"], "stdin.py"), (["--stdin-filename", "b/c.py"], "b/c.py"), (["-", "--stdin-filename", "d.py"], "d.py")],
)
def test_stdin_is_checked(words, file, folder, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Bytes(NAN.encode()))
    assert main(["lint", *words]) == 1
    assert capsys.readouterr().out == LINE.replace("a.py", file)


def test_stdin_is_mended(folder, capsysbinary, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Bytes(NAN.replace("\n", "\r\n").encode()))
    assert main(["lint", "-", "--fix"]) == 0
    assert capsysbinary.readouterr().out == MENDED.replace("\n", "\r\n").encode()
    monkeypatch.setattr(sys, "stdin", Bytes(NAN.encode()))
    assert main(["lint", "-", "--diff"]) == 1
    assert b"+jnp.isnan(x)" in capsysbinary.readouterr().out


def test_markdown_on_request(folder, capsys):
    (folder / "a.md").write_text(f"```python\n{NAN}```\n")
    assert main(["lint"]) == 1
    assert capsys.readouterr().out == LINE
    assert main(["lint", "--markdown"]) == 1
    assert [line.partition(" ")[0] for line in capsys.readouterr().out.splitlines()] == ["a.md:3:1:", "a.py:2:1:"]


def test_a_terminal_sees_lines_in_colour_unless_it_wants_none(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main(["lint"]) == 1
    colored = capsys.readouterr().out
    assert "\x1b[1;31mVX604" in colored and "^^^^^^^^^^^^" in colored
    assert colored.endswith("1 report in 1 file; --fix mends 1.\n")
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["lint"]) == 1
    assert "\x1b" not in (said := capsys.readouterr().out) and "\n    x == jnp.nan\n    ^^^^^^^^^^^^\n" in said


def test_watching_checks_again_when_a_file_changes(folder):
    process = subprocess.Popen(
        [sys.executable, "-m", "verax", "lint", "--watch"], cwd=folder, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert process.stdout.readline() == LINE
        assert "1 files; watching" in process.stderr.readline()
        (folder / "a.py").write_text(MENDED)
        assert "1 files; watching" in process.stderr.readline()
        (folder / "b.py").write_text(NAN)
        assert process.stdout.readline() == LINE.replace("a.py", "b.py")
    finally:
        process.kill()
        process.communicate()


def test_output_into_a_pipe_that_is_closed_is_no_error(folder):
    (folder / "a.py").write_text(NAN + "x == jnp.nan\n" * 5000)
    done = subprocess.run(
        f"{sys.executable} -m verax lint | head -1", shell=True, cwd=folder, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr and done.stdout == LINE


def test_it_loads_nothing_heavy(folder):
    program = (
        "import sys; from verax.cli import main; main(['lint', 'a.py'])\n"
        "found = {'jax', 'numpy', 'tyro', 'rich', 'pathspec', 'pygls', 'concurrent'} & set(sys.modules)\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
