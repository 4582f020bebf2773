"""Helpers in other files of a project are followed, and what a file's outcome depends on is known."""

import os

from verax.lint import lint
from verax.lint._module import Module
from verax.lint._project import Project

HELPER = "import jax\n\ndef noise(key, shape):\n    return jax.random.normal(key, shape)\n"
USER = "import jax\nfrom {} import noise\n\ndef f(key):\n    return noise(key, (2,)) + noise(key, (3,))\n"


def written(folder, **files):
    for name, text in files.items():
        path = folder / (name.replace("__in__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "pyproject.toml").touch()
    return folder


def found(folder, text, dotted, name="user"):
    module = Module(text, str(folder / f"{name}.py"), name)
    project = Project(folder)
    at = project.function(module, dotted)
    return (None if at is None else (at[0].name, at[1].name)), project


def test_a_function_is_found_through_packages_and_re_exports(tmp_path):
    written(
        tmp_path,
        helpers=HELPER,
        pkg__in____init__="from .inner import noise as drawn\nfrom . import inner\n",
        pkg__in__inner=HELPER + "class A:\n    def f(self): ...\n",
        src__in__lib__in____init__=HELPER,
    )
    for dotted, expected in {
        "helpers.noise": ("helpers", "noise"),
        "pkg.inner.noise": ("pkg.inner", "noise"),
        "pkg.drawn": ("pkg.inner", "noise"),
        "pkg.inner.A": ("pkg.inner", "A"),
        "pkg.inner.A.f": ("pkg.inner", "f"),
        "lib.noise": ("lib", "noise"),
        "helpers.absent": None,
        "helpers": None,
        "jax.random.normal": None,
        "..helpers.noise": None,
    }.items():
        assert found(tmp_path, "", dotted)[0] == expected, dotted


def test_what_is_bound_twice_or_in_a_circle_is_not_known(tmp_path):
    written(tmp_path, twice=HELPER + HELPER, one="from two import f", two="from one import f", broken="def f(:")
    for dotted in ("twice.noise", "one.f", "broken.f"):
        assert found(tmp_path, "", dotted)[0] is None


def test_packages_that_are_installed_beside_one_another_are_not_one_project(tmp_path):
    site = tmp_path / "site-packages"
    written(site, a__in____init__="", a__in__user="", a__in__helpers=HELPER, b__in____init__=HELPER)
    module = Module("", str(site / "a" / "user.py"), "a.user")
    assert Project(site).function(module, "a.helpers.noise") is not None
    assert Project(site).function(module, "b.noise") is None


def test_reads_are_those_of_helpers_of_helpers_and_what_is_missing(tmp_path):
    written(tmp_path, one="from two import f", two="def f(): ...")
    _, project = found(tmp_path, "", "one.f")
    reads = {os.path.basename(path): known for path, known in project.reads(str(tmp_path / "user.py")).items()}
    assert set(reads) == {"one.py", "two.py", "one", "two"}  # the last two in `src`
    assert reads["one.py"] and not reads["one"]


def test_a_key_used_up_by_helpers_of_another_file_is_reported_again_when_these_change(tmp_path):
    written(tmp_path, helpers=HELPER, user=USER.format("helpers"))
    [report] = lint(tmp_path).reports
    assert (report.code, report.line) == ("VX101", 5)
    (tmp_path / "helpers.py").write_text(HELPER.replace("random.normal(key", "random.normal(jax.random.key(0)"))
    assert lint(tmp_path).reports == ()
    (tmp_path / "helpers.py").write_text(HELPER)
    assert lint(tmp_path).reports == (report,)
    (tmp_path / "helpers.py").unlink()
    assert [each.level for each in lint(tmp_path).reports if each.level != "note"] == []
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "helpers.py").write_text(HELPER)
    assert report in lint(tmp_path).reports


def test_functions_that_call_each_other_across_files_end(tmp_path):
    one = "import jax\nimport two\n\ndef f(key):\n    return two.g(key)\n\n"
    one += "def h(key):\n    return two.g(key), two.g(key)\n"
    two = "import jax\nimport one\n\ndef g(key):\n    return one.f(key) + jax.random.normal(key)\n"
    written(tmp_path, one=one, two=two)
    assert lint(tmp_path, jobs=2).reports == lint(tmp_path, cache=False, jobs=1).reports
