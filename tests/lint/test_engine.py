"""Runs over files: every file has its outcome, however odd; the same in one process and in several, cold and warm."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from verax.findings import InputError
from verax.lint import _cache, _engine, _workers, check_text, lint
from verax.lint._outcome import from_plain, to_plain
from verax.lint._rule import Rule, all_rules

NAN = "import jax.numpy as jnp\nx == jnp.nan\n"


@pytest.fixture
def project(tmp_path):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "a.py").write_text(NAN)
    (tmp_path / "b.py").write_text("import jax\n")
    return tmp_path


@pytest.fixture
def raising(monkeypatch):
    """A rule that raises."""

    def check(module):
        raise KeyError("planted")
        yield

    rules = {**all_rules(), "VX999": Rule("VX999", "planted", "error", check)}
    monkeypatch.setattr("verax.lint._settings.all_rules", lambda: rules)


def codes(result):
    return [(Path(each.file).name, each.code) for each in result.reports]


def test_a_folder_is_checked(project):
    found = lint(project)
    assert (codes(found), found.files, found.exit_code, found.broken) == ([("a.py", "VX604")], 2, 1, {})
    assert str(found) == f"{project / 'a.py'}:2:1: VX604 this comparison with NaN is always false. Use isnan."
    assert lint(str(project / "b.py")).exit_code == 0
    assert lint([project / "a.py", str(project / "b.py")]).reports == found.reports


def test_what_is_not_there_is_refused(project):
    with pytest.raises(InputError, match="absent does not exist"):
        lint(project / "absent")
    with pytest.raises(InputError, match="unknown rule 'VX9'"):
        lint(project, select=["VX9"])


def test_a_rule_that_raises_is_named_and_the_rest_goes_on(project, raising):
    found = lint(project)
    assert codes(found) == [("a.py", "VX604")]
    assert found.broken == {f"{project / name}: VX999": "KeyError: 'planted'" for name in ("a.py", "b.py")}
    assert found.exit_code == 2
    assert lint(project).cached == 0  # what broke is tried again


ODD = {
    "null bytes": (b"import jax\0\n", ["VX001"]),
    "utf-16": (NAN.encode("utf-16"), ["VX001"]),
    "latin-1 without saying so": ("# é\n".encode("latin-1"), ["VX001"]),
    "latin-1": (("# coding: latin-1\n# é\n" + NAN).encode("latin-1"), ["VX604"]),
    "an unknown encoding": (b"# coding: klingon\n", ["VX001"]),
    "an encoding of bytes": (b"# coding: rot13\nimport jax\n", ["VX001"]),
    "a byte order mark": (NAN.encode("utf-8-sig"), ["VX604"]),
    "two marks": (b"\xef\xbb\xbf" + NAN.encode("utf-8-sig"), ["VX001"]),
    "nothing": (b"", []),
    "no line end": (NAN.strip().encode(), ["VX604"]),
    "random bytes": (bytes(range(256)) * 10, ["VX001"]),
    "a huge line": (NAN.encode() + b"x = [" + b"1, " * 200_000 + b"]\n", ["VX604"]),
    "a huge text": (NAN.encode() + b"x = '''" + b"# noqa verax: \n" * 50_000 + b"'''\n", ["VX604"]),
    "deep parentheses": (b"import jax\nx = " + b"(" * 500, ["VX001"]),
    "a deep sum": (b"import jax\nx = a" + b" + a" * 30_000, ["VX001"]),
    "deep signs": (b"import jax\nx = " + b"-" * 30_000 + b"a", ["VX001"]),
    "deep attributes": (b"import jax\nx = a" + b".a" * 30_000, ["VX001"]),
    "many branches": (NAN.encode() + b"if a: pass\n" + b"elif b: pass\n" * 5_000, None),
    "deep blocks": (b"import jax\n" + b"".join(b" " * n + b"if 1:\n" for n in range(150)), ["VX001"]),
    "a half of a character": (b"import jax\nx = '\xc3'\n", ["VX001"]),
    "lone surrogates": (b"import jax\nx = '\xed\xa0\x80'\n", ["VX001"]),
    "form feeds": (b"\x0cimport jax.numpy as jnp\x0c\n\x0cx == jnp.nan\n", ["VX604"]),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_files_are_findings(name, project):
    content, expected = ODD[name]
    (project / "odd.py").write_bytes(content)
    found = lint(project / "odd.py")
    assert not found.broken
    assert expected is None or [each.code for each in found.reports] == expected


def test_a_file_that_is_too_large_is_a_note(project, monkeypatch):
    monkeypatch.setattr(_engine, "SIZE", 10)
    found = lint(project / "a.py")
    assert (codes(found), found.reports[0].level, found.exit_code) == ([("a.py", "VX001")], "note", 0)


@pytest.mark.skipif(sys.platform == "win32", reason="makes pipes and links")
def test_files_that_cannot_be_read_are_findings(project, monkeypatch):
    os.mkfifo(project / "pipe.py")
    (project / "gone.py").symlink_to(project / "absent")
    (project / "loop.py").symlink_to(project / "loop.py")
    for name, said in (("pipe.py", "it is no regular file"), ("gone.py", "No such file"), ("loop.py", "symbolic link")):
        [found] = lint(project / name).reports
        assert found.code == "VX001" and said in found.message

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    [found] = lint(project / "b.py", ignore=["VX604"], cache=False).reports
    assert found.message == "this file cannot be read: Permission denied."


def test_syntax_errors_can_be_ignored(project):
    (project / "a.py").write_text("def f(:")
    assert codes(lint(project)) == [("a.py", "VX001")]
    assert lint(project, ignore=["VX001"]).reports == ()
    assert codes(lint(project, select=["VX604"])) == [("a.py", "VX001")]


# Processes.


def many(folder, count):
    for number in range(count):
        path = folder / f"p{number % 7}" / f"f{number}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(NAN * (number % 3) + "def f(:\n" * (number % 11 == 0))


def test_several_processes_say_the_same_as_one(project):
    many(project, 60)
    one, several = lint(project, jobs=1, cache=False), lint(project, jobs=3, cache=False)
    assert one.reports == several.reports and one.files == several.files == 62
    assert len(one.reports) > 60


def test_a_process_that_dies_or_hangs_is_replaced(project, monkeypatch):
    many(project, 9)
    kept = _workers._asked

    def dies(worker, path):
        if path.name == "f4.py":
            worker.kill()
        return kept(worker, path)

    monkeypatch.setattr(_workers, "_asked", dies)
    found = lint(project, jobs=2, cache=False)
    assert list(found.broken) == [f"{project / 'p4' / 'f4.py'}: VX000"]
    assert "f5.py" in {Path(each.file).name for each in found.reports}


def test_a_program_without_a_guard_can_use_processes(project):
    """`multiprocessing` would run it again in every process."""
    many(project, 12)
    (project / "json.py").write_text("raise SystemExit('imported')\n")
    program = "import verax as vx; r = vx.lint('.', jobs=2, cache=False); print(r.files, len(r.broken))"
    done = subprocess.run([sys.executable, "-P", "-c", program], cwd=project, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("15 0\n", "")


# The cache.


def test_what_did_not_change_is_taken_from_the_last_run(project):
    first, second = lint(project), lint(project)
    assert (first.cached, second.cached) == (0, 2)
    assert first.reports == second.reports
    assert (project / ".verax_cache" / ".gitignore").read_text() == "*\n"
    (project / "b.py").write_text(NAN)
    third = lint(project)
    assert (third.cached, codes(third)) == (1, [("a.py", "VX604"), ("b.py", "VX604")])
    assert lint(project, cache=False).cached == 0


def test_it_depends_on_content_settings_names_and_rules(project, monkeypatch):
    lint(project)
    assert lint(project, ignore=["VX604"]).cached == 0
    assert lint(project, target_jax="0.4.1").cached == 0
    assert lint(project).cached == 2
    stamp = os.stat(project / "a.py")
    (project / "a.py").write_text(NAN.replace("x ==", "y =="))  # of the same size
    os.utime(project / "a.py", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert lint(project).cached == 1
    os.utime(project / "a.py")
    assert lint(project).cached == 2  # a new time alone is no change
    (project / "__init__.py").touch()
    assert lint(project).cached == 0  # the files are part of a package now
    monkeypatch.setattr(_cache, "rules_hash", lambda: "other")
    assert lint(project).cached == 0


def test_it_depends_on_what_the_project_requires(project):
    (project / "a.py").write_text("import jax\njax.tree_map(f, x)\n")
    said = {}
    for limits in (">=0.4.1,<0.4.5", ">=0.6"):
        (project / "pyproject.toml").write_text(f'[project]\ndependencies = ["jax{limits}"]\n')
        said[limits] = [each.message for each in lint(project).reports]
    assert said[">=0.4.1,<0.4.5"] == []
    assert "removed in jax 0.6.0" in said[">=0.6"][0]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"files": 3, "written": 1}', b'{"written": 1, "files": {"a.py": 3}}', b"\xff"]
)
def test_a_damaged_index_is_passed_over(project, content):
    lint(project)
    [index] = (project / ".verax_cache" / "lint").glob("*.json")
    index.write_bytes(content)
    assert codes(lint(project)) == [("a.py", "VX604")]


def test_damaged_entries_are_passed_over(project):
    lint(project)
    [index] = (project / ".verax_cache" / "lint").glob("*.json")
    known = json.loads(index.read_text())
    for entry in (None, [], [1, 2, 3, 4, 5], [*known["files"]["a.py"][:4], {"reports": [[1]]}], {"x": 1}):
        known["files"]["a.py"] = entry
        index.write_text(json.dumps(known))
        assert codes(lint(project)) == [("a.py", "VX604")]


def test_the_cache_lies_where_it_is_said(project, tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("VERAX_CACHE", str(folder))
    lint(project)
    assert lint(project).cached == 2
    assert not (project / ".verax_cache").exists() and list(folder.glob("lint/*/*.json"))
    monkeypatch.setenv("VERAX_CACHE", "off")
    assert lint(project).cached == 0


def test_a_folder_that_cannot_be_written_is_no_error(project):
    (project / ".verax_cache").write_text("a file")
    assert codes(lint(project)) == [("a.py", "VX604")]


def test_old_indices_are_forgotten(project):
    for number in range(12):
        lint(project, target_jax=f"0.{number}")
    assert len(list((project / ".verax_cache" / "lint").glob("*.json"))) == _cache.KEPT + 1


def test_a_single_file_outside_of_a_project_leaves_nothing_behind(tmp_path):
    (tmp_path / "a.py").write_text(NAN)
    assert lint(tmp_path / "a.py").reports
    assert os.listdir(tmp_path) == ["a.py"]


def test_nothing_is_checked_where_nothing_changed(project):
    many(project, 200)
    lint(project)
    assert lint(project).cached == 202


def test_outcomes_go_through_json_unchanged(project):
    from verax.lint._outcome import Outcome

    reports = check_text(NAN + "x = (\n" * 0, "a.py").reports
    outcome = Outcome(reports, {"VX1": "é"}, {"b.py": "1"})
    assert from_plain(json.loads(json.dumps(to_plain(outcome))), "a.py") == outcome


def test_importing_and_calling_loads_no_jax(project):
    program = (
        f"import sys, verax as vx; assert vx.lint({str(project)!r}, jobs=1).reports; "
        "found = {'jax', 'numpy', 'flax', 'tyro', 'rich', 'pygls'} & set(sys.modules); assert not found, found"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
