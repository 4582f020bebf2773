"""The picture of the house (which folder may import which) against every import in `src/verax`, wherever it stands."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "verax"

# From the top down; a folder may import every folder of the rows below its own. Changing this is a decision.
PICTURE = (
    ("cli", "_pytest"),
    ("report", "plot"),
    ("certify",),
    ("doctor",),
    ("debug", "tune", "export"),
    ("train",),
    ("evaluate",),
    ("models", "network", "data"),
    ("jaxpr",),
    ("trees", "findings"),
)
WITHIN_A_ROW = {("report", "plot"), ("models", "network"), ("trees", "findings")}
ASIDE = {"lint": {"findings"}}  # linting never imports JAX
EVERYWHERE = "_modules"  # gives folders their call; imports nothing of ours
PLACES = {place: row for row, places in enumerate(PICTURE) for place in places} | {"lint": -1}

# Slow to import or optional: imported inside the function that uses them.
LATE = {"haiku", "equinox", "matplotlib", "orbax", "sklearn", "optuna", "ray", "grain"}
LATE |= {"tensorboardX", "wandb", "mlflow"}


def allowed(importer: str, imported: str) -> bool:
    """Returns whether code of one folder may import another."""
    if imported in (importer, EVERYWHERE):
        return True
    if importer in ASIDE or importer == EVERYWHERE:
        return imported in ASIDE.get(importer, ())
    if imported in ASIDE:
        return importer == "cli"
    return PLACES[importer] < PLACES[imported] or (importer, imported) in WITHIN_A_ROW


def modules_imported(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Yields line and dotted name of everything that is imported, at the top or inside a function, relative or not.

    `from verax import data` yields `verax.data`; `package` is the package that relative imports start from.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            whole = [f"{base}.{alias.name}" for alias in node.names] if base == "verax" else [base]
            yield from ((node.lineno, name) for name in whole)


def wrong_imports(source: Path) -> list[str]:
    """Returns a line for each import below a folder `verax` that the picture does not allow."""
    problems = []
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        folder, package = parts[0], ".".join(("verax", *parts[:-1]))
        if folder not in {"__init__", "__main__", EVERYWHERE, *PLACES}:
            problems.append(f"{path.relative_to(source)}: folder {folder!r} is not in the picture")
            continue
        for line, name in modules_imported(ast.parse(path.read_text()), package):
            place = f"{path.relative_to(source)}:{line}: imports {name}"
            if name.split(".")[0] != "verax" or name == "verax.__version__":
                continue
            imported = name.partition(".")[2].split(".")[0]
            if folder in ("__init__", "__main__"):
                if (folder, imported) != ("__main__", "cli"):
                    problems.append(f"{place}: verax/{folder}.py imports no folder, or `import verax` is slow")
            elif imported not in {EVERYWHERE, *PLACES}:
                problems.append(f"{place}: import the name from its folder")
            elif not allowed(folder, imported):
                problems.append(f"{place}: {folder} may not import {imported}")
    return problems


def early_imports(source: Path) -> list[str]:
    """Returns a line for each slow or optional library that is imported outside a function."""
    problems = []
    for path in sorted(source.rglob("*.py")):
        tree = ast.parse(path.read_text())
        inside = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for node in ast.walk(function)
        }
        outside = [node for node in ast.walk(tree) if id(node) not in inside]
        imports = [node for node in outside if isinstance(node, ast.Import | ast.ImportFrom)]
        for line, name in modules_imported(ast.Module(imports, []), "verax"):
            if name.split(".")[0] in LATE:
                problems.append(f"{path.relative_to(source)}:{line}: imports {name} outside the function that uses it")
    return problems


def plant(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / (name.replace("__in__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_imports_point_one_way():
    assert wrong_imports(SOURCE) == []


def test_slow_libraries_are_imported_where_they_are_used():
    assert early_imports(SOURCE) == []


def test_only_plot_knows_matplotlib():
    users = {
        path.relative_to(SOURCE).parts[0]
        for path in SOURCE.rglob("*.py")
        for _, name in modules_imported(ast.parse(path.read_text()), "verax")
        if name.split(".")[0] == "matplotlib"
    }
    assert users <= {"plot"}


@pytest.mark.parametrize(
    ("importer", "text"),
    [
        ("data__in___x", "from verax.train import chunks"),
        ("data__in___x", "import verax.train"),
        ("data__in___x", "from verax import train"),
        ("data__in___x", "def f():\n    from verax.train._loop import chunks"),
        ("data__in___x", "from ..train import chunks"),
        ("data__in___x", "from .. import train"),
        ("data__in___x", "from verax import Experiment"),
        ("data__in___x", "import verax as vx"),
        ("plot__in____init__", "from verax.report import page"),
        ("findings", "from verax.trees import digest"),
        ("lint__in___rule", "from verax.trees import digest"),
        ("debug__in___x", "from verax.lint import rules"),
        ("_modules", "from verax.findings import Finding"),
        ("__init__", "from verax import train"),
        ("utils__in___x", "import numpy"),
    ],
)
def test_a_wrong_import_is_found(tmp_path, importer, text):
    assert len(wrong_imports(plant(tmp_path, **{importer: text}))) == 1


@pytest.mark.parametrize(
    ("importer", "text"),
    [
        ("train__in___x", "from verax.data._batch import Batch"),
        ("train__in___x", "from ._loop import chunks"),
        ("train__in____init__", "from .._modules import make_callable"),
        ("train__in___x", "from verax import __version__, trees"),
        ("report__in___x", "from verax.plot import curves"),
        ("cli__in___lint", "from verax.lint import rules"),
        ("lint__in___rule", "from verax.findings import Finding"),
        ("__main__", "from verax.cli import main"),
        ("findings", "import json, numpy as np"),
    ],
)
def test_a_right_import_is_not_reported(tmp_path, importer, text):
    assert wrong_imports(plant(tmp_path, **{importer: text})) == []


def test_an_early_import_is_found(tmp_path):
    late = "import numpy\ndef f():\n    import matplotlib.pyplot as plt\n    from sklearn import metrics"
    assert early_imports(plant(tmp_path, plot__in___x=late)) == []
    early = "if True:\n    import matplotlib.pyplot as plt\nclass A:\n    from sklearn import metrics"
    assert len(early_imports(plant(tmp_path, plot__in___x=early))) == 2


@pytest.mark.parametrize("module", ["verax", "verax.findings", *(["verax.lint"] if (SOURCE / "lint").exists() else [])])
def test_importing_does_not_import_jax(module):
    heavy = "{'jax', 'numpy', 'flax', 'scipy', 'matplotlib'}"
    program = f"import sys, {module}; found = {heavy} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-c", program], check=True)
