"""Which rules are on: codes, beginnings and names, in the project's file and in a call."""

from pathlib import Path

import pytest

from verax.findings import InputError
from verax.lint import _rule, lint
from verax.lint._rule import Rule
from verax.lint._settings import Settings, settings_for
from verax.lint._targets import requirements

NAN = "import jax.numpy as jnp\nx == jnp.nan\n"


@pytest.fixture(autouse=True)
def rules(monkeypatch):
    """Four rules, of which one is opt-in."""
    every = [
        Rule("VX101", "key-reuse", "error", lambda module: iter(())),
        Rule("VX102", "key-reuse-in-loop", "error", lambda module: iter(())),
        Rule("VX308", "step-not-jitted", "note", lambda module: iter(()), opt_in=True),
        _rule.all_rules()["VX604"],
    ]
    by_code = {each.code: each for each in every}
    monkeypatch.setattr("verax.lint._settings.all_rules", lambda: by_code)


def on(**about):
    return [each.code for each in Settings(root=Path("."), **about).rules()]


def test_all_but_opt_in_rules_are_on():
    assert on() == ["VX101", "VX102", "VX604"]


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({"select": ("VX1",)}, ["VX101", "VX102"]),
        ({"select": ("vx1",)}, ["VX101", "VX102"]),
        ({"select": ("VX1", "nan-comparison")}, ["VX101", "VX102", "VX604"]),
        ({"select": ("key-reuse",)}, ["VX101"]),
        ({"select": ("VX3",)}, []),
        ({"select": ("ALL",)}, ["VX101", "VX102", "VX604"]),
        ({"select": ("VX308",)}, ["VX308"]),
        ({"select": ("step-not-jitted",)}, ["VX308"]),
        ({"extend_select": ("VX3",)}, ["VX101", "VX102", "VX308", "VX604"]),
        ({"select": ("VX6",), "extend_select": ("VX308",)}, ["VX308", "VX604"]),
        ({"ignore": ("VX1",)}, ["VX604"]),
        ({"ignore": ("VX",)}, []),
        ({"ignore": ("key-reuse",)}, ["VX102", "VX604"]),
        ({"select": ("VX101",), "ignore": ("VX1",)}, ["VX101"]),
        ({"select": ("VX1",), "ignore": ("VX101",)}, ["VX102"]),
        ({"select": ("VX101",), "ignore": ("VX101",)}, []),
        ({"extend_select": ("VX102",), "ignore": ("VX1",)}, ["VX102", "VX604"]),
    ],
)
def test_the_longest_code_counts(about, expected):
    assert on(**about) == expected


def project(folder, text):
    (folder / "pyproject.toml").write_text(text)
    (folder / "a.py").write_text(NAN)
    return folder / "a.py"


def test_a_project_has_settings(tmp_path):
    file = project(
        tmp_path,
        '[tool.verax.lint]\nselect = ["VX6"]\nextend-select = ["VX308"]\nignore = ["VX101"]\nexclude = ["old/"]\n'
        'per-file-ignores = {"tests/*" = ["VX6"]}\ntarget-jax = "0.6.2"\nmarkdown = true\n',
    )
    found = settings_for([file])
    assert (found.root, found.select, found.ignore) == (tmp_path, ("VX6",), ("VX101",))
    assert (found.extend_select, found.exclude, found.target_jax) == (("VX308",), ("old/",), "0.6.2")
    assert found.markdown and found.per_file_ignores == (("tests/*", ("VX6",)),)


def test_the_nearest_project_with_settings_counts(tmp_path):
    project(tmp_path, "[tool.verax.lint]\n")
    (tmp_path / "inner").mkdir()
    inner = project(tmp_path / "inner", "[project]\n")
    assert settings_for([inner]).root == tmp_path
    (tmp_path / "inner" / "pyproject.toml").write_text("[tool.verax.lint]\n")
    assert settings_for([inner]).root == tmp_path / "inner"
    assert settings_for([inner, tmp_path / "a.py"]).root == tmp_path


def test_a_call_comes_on_top(tmp_path):
    file = project(tmp_path, '[tool.verax.lint]\nselect = ["VX1"]\nignore = ["VX604"]\n')
    assert settings_for([file], ignore=["VX101"]).ignore == ("VX604", "VX101")
    chosen = settings_for([file], select=["VX604"])
    assert (chosen.select, chosen.ignore) == (("VX604",), ())
    assert [each.code for each in lint(file, select=["VX604"]).reports] == ["VX604"]


def test_rules_are_left_out_of_files(tmp_path):
    project(tmp_path, '[tool.verax.lint.per-file-ignores]\n"tests/*" = ["VX6"]\n"b.py" = ["nan-comparison"]\n')
    for name in ("tests/a.py", "b.py", "deep/b.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(NAN)
    assert [Path(each.file).name for each in lint(tmp_path).reports] == ["a.py"]


WRONG = [
    ('ignor = ["VX1"]', "unknown key 'ignor' in [tool.verax.lint] of {file}. Did you mean 'ignore'?"),
    ('ignore = "VX1"', "ignore in [tool.verax.lint] of {file} must be a list of texts, got 'VX1'."),
    ('ignore = ["VX1O1"]', "unknown rule 'VX1O1' in [tool.verax.lint] of {file}. Did you mean 'VX101'?"),
    ('select = ["key-reus"]', "unknown rule 'key-reus' in [tool.verax.lint] of {file}. Did you mean 'key-reuse'?"),
    ('select = ["E501"]', "unknown rule 'E501'"),
    ("target-jax = 0.6", "target-jax in [tool.verax.lint] of {file} must be a text such as '0.6.2', got 0.6."),
    ('target-jax = "new"', "target-jax must be a version such as 0.6.2, got 'new'."),
    ("markdown = 1", "markdown in [tool.verax.lint] of {file} must be true or false, got 1."),
    ('per-file-ignores = ["a"]', "per-file-ignores in [tool.verax.lint] of {file} must be patterns with lists of"),
    ('per-file-ignores = {"a" = "VX1"}', "must be patterns with lists of codes"),
    ("= 3", "{file} cannot be read: "),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), WRONG, ids=[line for line, _ in WRONG])
def test_what_is_wrong_is_named(line, expected, tmp_path):
    file = project(tmp_path, f"[tool.verax.lint]\n{line}\n")
    with pytest.raises(InputError) as raised:
        settings_for([file])
    assert expected.format(file=tmp_path / "pyproject.toml") in str(raised.value)


def test_requirements_are_those_of_the_project(tmp_path):
    project(
        tmp_path,
        '[project]\ndependencies = ["jax[cpu]>=0.4.20,<0.5; python_version > \'3.9\'", "numpy"]\n'
        'optional-dependencies = {x = ["Flax==0.8.1", "dm_haiku"]}\n',
    )
    (tmp_path / "requirements.txt").write_text("optax ~= 0.2.1  # why\n-r other.txt\njax==0.1\n\n")
    assert requirements(str(tmp_path)) == {
        "jax": ((">=", "0.4.20"), ("<", "0.5")),
        "flax": (("==", "0.8.1"),),
        "dm-haiku": (),
        "optax": (("~=", "0.2.1"),),
    }


OLDER = {
    "setup.cfg": "[a]\nb = %(x)s\n[options]\ninstall_requires =\n    Jax[cpu]>=0.4.20,<0.5  # why\n    numpy\n",
    "setup.cfg in a line": "[options]\ninstall_requires = numpy; jax>=0.4.20,<0.5\n",
    "setup.py": "import setuptools\nsetuptools.setup(name=n, install_requires=['numpy', 'jax>=0.4.20,<0.5', *more])\n",
    "setup.py by name": "from setuptools import setup\nR = ('jax>=0.4.20,<0.5',)\nsetup(install_requires=R)\nexit(1)\n",
    "requirements.txt": "jax>=0.4.20,<0.5\n",
}
NO_LIMITS = {
    "setup.cfg": "install_requires = jax<0.5\n",
    "setup.cfg from a file": "[options]\ninstall_requires = file: jax.txt\n",
    "setup.cfg of tests": "[options.extras_require]\ntest = jax<0.5\n",
    "setup.py": "from setuptools import setup\nsetup(install_requires=read('jax<0.5'), tests_require=['jax<0.5'])\n",
    "setup.py bound twice": "R = ['jax<0.5']\nif a:\n    R = ['jax']\nsetup(install_requires=R)\n",
    "setup.py of another Python": "setup(install_requires=['jax<0.5']\nprint 1\n",
    "setup.py of another call": "configure(install_requires=['jax<0.5'])\n",
}


@pytest.mark.parametrize("name", OLDER)
def test_requirements_are_read_from_older_files_too(name, tmp_path):
    (tmp_path / name.partition(" ")[0]).write_text(OLDER[name])
    assert requirements(str(tmp_path)) == {"jax": ((">=", "0.4.20"), ("<", "0.5"))}


@pytest.mark.parametrize("name", NO_LIMITS)
def test_what_is_no_literal_requirement_limits_nothing(name, tmp_path):
    (tmp_path / name.partition(" ")[0]).write_text(NO_LIMITS[name])
    assert requirements(str(tmp_path)) == {}


def test_the_first_file_that_limits_a_library_decides(tmp_path):
    project(tmp_path, '[project]\ndependencies = ["jax<0.8", "flax"]\n')
    (tmp_path / "setup.cfg").write_text("[options]\ninstall_requires =\n    jax<0.7\n    optax<0.2\n")
    (tmp_path / "setup.py").write_text("setup(install_requires=['jax<0.6', 'optax<0.1', 'flax<0.9', 'chex<1'])\n")
    (tmp_path / "requirements.txt").write_text("jax<0.5\nchex<2\nequinox<3\n")
    assert requirements(str(tmp_path)) == {
        "jax": (("<", "0.8"),),
        "flax": (("<", "0.9"),),
        "optax": (("<", "0.2"),),
        "chex": (("<", "1"),),
        "equinox": (("<", "3"),),
    }
