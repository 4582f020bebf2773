"""Writes the tables of names that `verax lint` knows from real releases of JAX, Flax, Optax, Haiku and Orbax.

    python3.13 tools/lint_tables.py --wheels DIRECTORY [--package jax] [--no-download]

For each release in `RELEASES` the distribution is fetched with pip (a wheel, or the source where no wheel exists), and
its sources are read without running them: what each public module binds (imports, definitions, assignments, star
imports followed into private modules), what its `_deprecations` say, and which keywords its public functions take. What
changed between releases goes to `src/verax/lint/tables/PACKAGE.json`:

    modules: by name: `since`, `until` (the release without it), `open` (whether names of its last
      release may be missing here), `hidden` (whether the package around it has something else under its name), `names`
      by the release that brought them, and `stale`: name -> [added, deprecated, removed, message of the release].
    keywords: by function: name -> [deprecated, removed].

A release between two of the list that is not read itself can only make a version here late, never early. The script
says what it read, what it could not follow, and how large each table is. The newest releases are written for Python
3.12 and later, which an older Python cannot parse.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

TABLES = Path(__file__).parent.parent / "src" / "verax" / "lint" / "tables"
RELEASES = {
    "jax": """
      0.2.0 0.2.5 0.2.9 0.2.12 0.2.17 0.2.19 0.2.20 0.2.21 0.2.22 0.2.25 0.2.26 0.2.28 0.3.0 0.3.1 0.3.2 0.3.5 0.3.8
      0.3.10 0.3.14 0.3.15 0.3.16 0.3.17 0.3.20 0.3.22 0.3.25 0.4.1 0.4.2 0.4.3 0.4.4 0.4.5 0.4.6 0.4.7 0.4.8 0.4.9
      0.4.10 0.4.11 0.4.12 0.4.13 0.4.14 0.4.16 0.4.17 0.4.18 0.4.19 0.4.20 0.4.21 0.4.22 0.4.23 0.4.24 0.4.25 0.4.26
      0.4.27 0.4.28 0.4.29 0.4.30 0.4.31 0.4.33 0.4.34 0.4.35 0.4.36 0.4.37 0.4.38 0.5.0 0.5.1 0.5.2 0.5.3 0.6.0 0.6.1
      0.6.2 0.7.0 0.7.1 0.7.2 0.8.0 0.8.1 0.8.2 0.8.3 0.9.0 0.9.1 0.9.2 0.10.0 0.10.1 0.10.2 0.11.0 0.11.1 0.11.2
      0.12.0 0.12.0.1
    """,
    "flax": """
      0.1.0 0.2.0 0.2.2 0.3.0 0.3.1 0.3.2 0.3.3 0.3.4 0.3.5 0.3.6 0.4.0 0.4.1 0.4.2 0.5.0 0.5.1 0.5.2 0.5.3 0.6.0 0.6.1
      0.6.2 0.6.3 0.6.4 0.6.6 0.6.7 0.6.8 0.6.9 0.6.10 0.6.11 0.7.0 0.7.2 0.7.4 0.7.5 0.8.0 0.8.1 0.8.2 0.8.3 0.8.4
      0.8.5 0.9.0 0.10.0 0.10.1 0.10.2 0.10.3 0.10.4 0.10.5 0.10.6 0.10.7 0.11.0 0.11.1 0.11.2 0.12.0 0.12.1 0.12.2
      0.12.3 0.12.4 0.12.5 0.12.6 0.12.7 0.12.8 0.12.9 0.12.10 0.12.12
    """,
    "optax": """
      0.0.1 0.0.2 0.0.3 0.0.5 0.0.6 0.0.8 0.0.9 0.0.91 0.1.0 0.1.1 0.1.2 0.1.3 0.1.4 0.1.5 0.1.7 0.1.8 0.1.9 0.2.0
      0.2.1 0.2.2 0.2.3 0.2.4 0.2.5 0.2.6 0.2.7 0.2.8
    """,
    "haiku": """
      0.0.1 0.0.2 0.0.3 0.0.4 0.0.5 0.0.6 0.0.7 0.0.8 0.0.9 0.0.10 0.0.11 0.0.12 0.0.13 0.0.14 0.0.15 0.0.16 0.0.17
    """,
    "orbax": """
      0.2.0 0.3.0 0.4.0 0.5.0 0.5.9 0.5.14 0.5.20 0.5.23 0.6.0 0.6.4 0.7.0 0.8.0 0.9.0 0.9.1 0.10.0 0.10.3 0.11.0
      0.11.5 0.11.10 0.11.16 0.11.20 0.11.25 0.11.30 0.11.36 0.11.40 0.12.0 0.12.4 0.12.8
    """,
}  # fmt: skip
DISTRIBUTIONS = {"haiku": "dm-haiku", "orbax": "orbax-checkpoint"}  # the others are called as what they install
NOT_PUBLIC = ("tests", "test", "testing", "tools", "internal")
PYTHONS = ("3.13", "3.11", "3.9")  # newest first: of the first for which there is a wheel
DEPTH = 4  # parts of a module's name; what lies deeper is nobody's interface


@dataclass
class Module:
    """What one module of a release binds.

    Attributes:
      names: public and private.
      exported: what `__all__` says, or None.
      deprecated: message by name, for names that still work.
      gone: message by name, for names that raise.
      open: whether something binds names in a way that is not read here.
    """

    names: set[str] = field(default_factory=set)
    exported: set[str] | None = None
    deprecated: dict[str, str] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)
    open: bool = False


class Release:
    """The sources of one release, read on demand."""

    def __init__(self, package: str, sources: dict[str, tuple[bytes, bool]]):
        self.package, self.sources = package, sources
        self.trees: dict[str, ast.Module] = {}
        self.read: dict[str, Module] = {}
        self.bound: dict[str, dict[str, ast.stmt]] = {}
        self.unreadable: list[str] = []

    def tree(self, module: str) -> ast.Module:
        """Returns a module's syntax tree; an empty one where this Python cannot read it."""
        if module not in self.trees:
            try:
                self.trees[module] = ast.parse(self.sources[module][0])
            except SyntaxError:
                self.unreadable.append(module)
                self.trees[module] = ast.parse("exec('')")  # which makes it open
        return self.trees[module]

    def modules(self) -> list[str]:
        """Returns the public modules."""
        return sorted(
            name for name in self.sources if name.count(".") < DEPTH and all(map(_is_public, name.split(".")))
        )

    def module(self, name: str) -> Module:
        """Returns what a module binds, its submodules included."""
        if name not in self.read:
            self.read[name] = found = Module()
            for statement in self.tree(name).body:
                self.statement(name, statement, found)
            below = [each.rpartition(".") for each in self.sources if each.startswith(f"{name}.")]
            found.names |= {each for base, _, each in below if base == name and _is_public(each)}
            found.names |= set(found.deprecated)  # also those of which the module deletes its own name
            found.names -= set(found.gone)
        return self.read[name]

    def statement(self, name: str, node: ast.stmt, found: Module) -> None:
        """Adds what one statement of a module binds."""
        match node:
            case ast.Import():
                found.names |= {each.asname or each.name.partition(".")[0] for each in node.names}
            case ast.ImportFrom():
                base = self.base(name, node)
                for each in node.names:
                    if each.name != "*":
                        found.names.add(each.asname or each.name)
                    elif base in self.sources:
                        star = self.module(base)
                        exported = star.exported if star.exported is not None else star.names
                        found.names |= {one for one in exported if star.exported is not None or one[:1] != "_"}
                        found.open |= star.open
                    else:
                        found.open = True
            case ast.FunctionDef(name="__getattr__"):
                compared = [each for each in ast.walk(node) if isinstance(each, ast.Compare)]
                texts = [one.value for each in compared for one in ast.walk(each) if isinstance(one, ast.Constant)]
                found.names |= {each for each in texts if isinstance(each, str) and each.isidentifier()}
                found.open |= not texts
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.names.add(node.name)
            case ast.Delete():
                found.names -= {each.id for each in node.targets if isinstance(each, ast.Name)}
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                self.assignment(name, node, found)
            case ast.If():
                test = ast.unparse(node.test).replace("_typing.", "").replace("typing.", "")
                only = {"TYPE_CHECKING": node.orelse, "not TYPE_CHECKING": node.body}
                for each in only.get(test, [*node.body, *node.orelse]):
                    self.statement(name, each, found)
            case ast.Try():
                handlers = [one for each in node.handlers for one in each.body]
                for each in [*node.body, *handlers, *node.orelse, *node.finalbody]:
                    self.statement(name, each, found)
            case ast.For() | ast.While() | ast.With():
                if isinstance(node, ast.For):
                    found.names |= {each.id for each in ast.walk(node.target) if isinstance(each, ast.Name)}
                for each in [*node.body, *getattr(node, "orelse", [])]:
                    self.statement(name, each, found)
            case _:
                pass
        if isinstance(node, ast.Expr | ast.Assign | ast.AugAssign | ast.For | ast.While | ast.With):
            called = {ast.unparse(each.func) for each in ast.walk(node) if isinstance(each, ast.Call)}
            found.open |= bool(called & {"exec", "globals", "vars", "locals", "setattr"})
            found.open |= "sys.modules[__name__]" in ast.unparse(node)

    def assignment(self, name: str, node: ast.Assign | ast.AnnAssign | ast.AugAssign, found: Module) -> None:
        """Adds what an assignment binds, and what its dictionary of deprecations says."""
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        bound = {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}
        if isinstance(node, ast.AnnAssign) and node.value is None:
            return
        value = node.value
        if "__all__" in bound and isinstance(value, ast.List | ast.Tuple | ast.BinOp):
            texts = {each.value for each in ast.walk(value) if isinstance(each, ast.Constant)}
            found.exported = (found.exported or set()) | {each for each in texts if isinstance(each, str)}
        if "__getattr__" in bound and isinstance(value, ast.Call):
            if "attach" in ast.unparse(value.func):  # a list of submodules that are imported when they are used
                texts = {each.value for each in ast.walk(value) if isinstance(each, ast.Constant)}
                found.names |= {each for each in texts if isinstance(each, str)}
            else:
                self.deprecations(name, value.args[1] if len(value.args) > 1 else None, found)
        found.names |= bound - {"__getattr__", "__all__", "__dir__"}

    def deprecations(self, name: str, value: ast.expr | None, found: Module) -> None:
        """Adds what `deprecation_getattr(__name__, value)` knows."""
        if isinstance(value, ast.Name):
            assigned = [
                each.value
                for each in ast.walk(self.tree(name))
                if isinstance(each, ast.Assign | ast.AnnAssign)
                and value.id in ast.unparse(each.targets[0] if isinstance(each, ast.Assign) else each.target)
            ]
            value = assigned[-1] if assigned else None
        if not isinstance(value, ast.Dict):
            found.open = True
            return
        for key, entry in zip(value.keys, value.values, strict=True):
            if not isinstance(key, ast.Constant) or not isinstance(entry, ast.Tuple) or len(entry.elts) != 2:
                found.open = True
                continue
            message, works = _text(entry.elts[0]), entry.elts[1]
            if isinstance(works, ast.Constant) and works.value is None:
                found.gone[str(key.value)] = message
            else:
                found.deprecated[str(key.value)] = message

    def is_hidden(self, module: str) -> bool:
        """Returns whether the package around a module binds its name to something else."""
        package, _, name = module.rpartition(".")
        node = self.index(package).get(name) if package in self.sources else None
        if isinstance(node, ast.ImportFrom):
            base = self.base(package, node)
            return base != package or all(each.name != name for each in node.names if each.asname in (None, name))
        return node is not None

    def base(self, module: str, node: ast.ImportFrom) -> str:
        """Returns the module that `from ... import` names."""
        if not node.level:
            return node.module or ""
        parts = module.split(".")
        parts = parts if self.sources[module][1] else parts[:-1]
        parts = parts[: len(parts) - node.level + 1]
        return ".".join([*parts, node.module] if node.module else parts)

    def index(self, module: str) -> dict[str, ast.stmt]:
        """Returns by name the last statement of a module that binds it; `*` and a number for star imports."""
        if module not in self.bound:
            self.bound[module] = found = {}
            for node in _statements(self.tree(module).body):
                match node:
                    case ast.FunctionDef() if not any("overload" in ast.unparse(each) for each in node.decorator_list):
                        found[node.name] = node
                    case ast.ImportFrom():
                        for each in node.names:
                            found[each.asname or each.name if each.name != "*" else f"*{len(found)}"] = node
                    case ast.Assign(targets=[ast.Name(id=bound)]):
                        found[bound] = node
                    case ast.ClassDef():
                        found[node.name] = node
        return self.bound[module]

    def function(self, module: str, name: str, depth: int = 0) -> ast.FunctionDef | None:
        """Returns the definition of a public function, wherever it stands in the release."""
        if module not in self.sources or depth > 8:
            return None
        index = self.index(module)
        match index.get(name):
            case ast.FunctionDef() as found:
                return found
            case ast.ImportFrom() as node:
                original = next(each.name for each in node.names if (each.asname or each.name) == name)
                return self.function(self.base(module, node), original, depth + 1)
            case ast.Assign(value=ast.Name(id=other)) if other != name:
                return self.function(module, other, depth + 1)
            case None:
                for star, node in index.items():
                    if star[0] == "*" and isinstance(node, ast.ImportFrom):
                        found = self.function(self.base(module, node), name, depth + 1)
                        if found is not None:
                            return found
        return None


def _is_public(part: str) -> bool:
    return not part.startswith("_") and part not in NOT_PUBLIC and not part.endswith("_test")


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yields the statements of a module's body, those of its branches included."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            for part in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(node, part, []))


def _text(node: ast.expr) -> str:
    """Returns a message: of a text with values in it, the texts."""
    if isinstance(node, ast.Constant):
        return " ".join(str(node.value).split())
    texts = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return " ".join("".join(texts).split())


def _keywords(function: ast.FunctionDef) -> tuple[set[str], set[str], bool]:
    """Returns the names that a function takes, those of them that are on their way out, and whether it takes any."""
    arguments = function.args
    places = [*arguments.posonlyargs, *arguments.args]
    defaults = dict(zip([each.arg for each in places[len(places) - len(arguments.defaults) :]], arguments.defaults,
                        strict=True))  # fmt: skip
    defaults |= {a.arg: b for a, b in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if b is not None}
    leaving = {name for name, value in defaults.items() if "deprecated" in ast.unparse(value).lower()}
    taken = {each.arg for each in [*arguments.args, *arguments.kwonlyargs]}
    return taken, leaving, arguments.kwarg is not None


def fetched(package: str, version: str, folder: Path, download: bool) -> Path | None:
    """Returns the file of a release, from the folder or from pip."""
    distribution = DISTRIBUTIONS.get(package, package)
    stem = f"{distribution.replace('-', '_')}-{version}"
    for each in sorted(folder.glob("*")):
        if (
            each.name.replace("dm-haiku", "dm_haiku")
            .replace("orbax-", "orbax_")
            .startswith((f"{stem}-", f"{stem}.tar"))
        ):
            return each
    if not download:
        return None
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    ways = [["--only-binary", ":all:", "--python-version", python] for python in PYTHONS]
    for way in [*ways, ["--no-binary", ":all:"]]:
        done = subprocess.run([*pip, *way, "-d", str(folder), f"{distribution}=={version}"], capture_output=True)
        if done.returncode == 0:
            return fetched(package, version, folder, False)
    return None


def opened(package: str, file: Path) -> Release:
    """Returns the sources in a wheel or a source archive."""
    texts: dict[str, bytes] = {}
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as wheel:
            texts = {each: wheel.read(each) for each in wheel.namelist() if each.endswith(".py")}
    else:
        with tarfile.open(file) as archive:
            for each in archive.getmembers():
                if each.name.endswith(".py") and (content := archive.extractfile(each)) is not None:
                    texts[each.name.partition("/")[2]] = content.read()
    sources: dict[str, tuple[bytes, bool]] = {}
    for path, text in texts.items():
        parts = path.removesuffix(".py").split("/")
        if parts[0] == package:
            is_package = parts[-1] == "__init__"
            sources[".".join(parts[:-1] if is_package else parts)] = (text, is_package)
    return Release(package, sources)


def summary(release: Release) -> dict:
    """Returns what the tables need of a release."""
    modules, keywords = {}, {}
    for name in release.modules():
        found = release.module(name)
        # What stands in the files of private modules is public where a public one shows it.
        modules[name] = {
            "names": sorted(each for each in found.names if each[:1] != "_"),
            "deprecated": found.deprecated,
            "gone": found.gone,
            "open": found.open,
            "hidden": release.is_hidden(name),
        }
        for each in modules[name]["names"]:
            function = release.function(name, each)
            if function is not None:
                taken, leaving, more = _keywords(function)
                keywords[f"{name}.{each}"] = [sorted(taken), sorted(leaving), more]
    return {"modules": modules, "keywords": keywords}


def table(package: str, summaries: dict[str, dict]) -> dict:
    """Returns a package's table."""
    releases = list(summaries)
    modules: dict[str, dict] = {}
    for module in sorted({name for each in summaries.values() for name in each["modules"]}):
        of = {release: each["modules"][module] for release, each in summaries.items() if module in each["modules"]}
        first, last = next(iter(of)), list(of)[-1]
        after = releases.index(last) + 1
        until = releases[after] if after < len(releases) else None
        names: dict[str, list[str]] = {}
        stale: dict[str, list[str | None]] = {}
        for name in sorted({one for each in of.values() for one in [*each["names"], *each["gone"]]}):
            has = [release for release in of if name in of[release]["names"]]
            added = has[0] if has else None
            deprecated = next((each for each in has if name in of[each]["deprecated"]), None)
            messages = [
                each[kind][name] for each in of.values() for kind in ("deprecated", "gone") if name in each[kind]
            ]
            removed = None
            if not has:
                removed = next(release for release in of if name in of[release]["gone"])
            elif has[-1] != last:
                removed = list(of)[list(of).index(has[-1]) + 1]
            if deprecated is not None and removed is None and name not in of[last]["deprecated"]:
                deprecated = None  # it was taken back
            if deprecated is None and removed is None:
                names.setdefault(added or first, []).append(name)
            else:
                stale[name] = [added, deprecated, removed, messages[-1] if messages else ""]
        modules[module] = {
            "since": first,
            "until": until,
            "open": of[last]["open"],
            "hidden": of[last]["hidden"],
            "names": {release: " ".join(names[release]) for release in releases if release in names},
            "stale": stale,
        }
    return {"package": package, "releases": releases, "modules": modules, "keywords": _vanished(summaries)}


def _vanished(summaries: dict[str, dict]) -> dict[str, dict[str, list[str | None]]]:
    """Returns the keywords that functions took once and take no more, or say they will not for long."""
    found: dict[str, dict[str, list[str | None]]] = {}
    releases = list(summaries)
    for function in sorted({name for each in summaries.values() for name in each["keywords"]}):
        of = {
            release: each["keywords"][function] for release, each in summaries.items() if function in each["keywords"]
        }
        if releases[-1] not in of or of[releases[-1]][2]:
            continue
        now, leaving, _ = of[releases[-1]]
        for keyword in sorted({one for each in of.values() for one in each[0] if one[:1] != "_"}):
            if keyword in now and keyword not in leaving:
                continue
            took = [release for release in of if keyword in of[release][0] or of[release][2]]
            removed = None
            if keyword not in now:
                removed = next(each for each in list(of)[list(of).index(took[-1]) + 1 :])
            deprecated = next((each for each in of if keyword in of[each][1]), None)
            found.setdefault(function, {})[keyword] = [deprecated, removed]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--wheels", type=Path, required=True, help="where the releases are kept")
    parser.add_argument("--package", choices=RELEASES, action="append", help="only this one; may be repeated")
    parser.add_argument("--no-download", action="store_true", help="use only what is in the folder")
    options = parser.parse_args()
    options.wheels.mkdir(parents=True, exist_ok=True)
    for package in options.package or RELEASES:
        summaries: dict[str, dict] = {}
        for version in RELEASES[package].split():
            file = fetched(package, version, options.wheels, not options.no_download)
            if file is None:
                print(f"{package} {version}: not to be had; left out")
                continue
            release = opened(package, file)
            if package not in release.sources and package != "orbax":
                print(f"{package} {version}: {file.name} holds no {package}; left out")
                continue
            summaries[version] = summary(release)
            hidden = [name for name, each in summaries[version]["modules"].items() if each["open"]]
            print(f"{package} {version}: {len(summaries[version]['modules'])} modules, {len(hidden)} open", flush=True)
            if release.unreadable:
                print(f"  a newer Python is needed to read {', '.join(release.unreadable)}")
        made = table(package, summaries)
        TABLES.mkdir(parents=True, exist_ok=True)
        target = TABLES / f"{package}.json"
        target.write_text(json.dumps(made, separators=(",", ":")).replace('},"', '},\n"') + "\n")
        count = sum(len(each["stale"]) for each in made["modules"].values())
        print(f"{target.name}: {len(made['modules'])} modules, {count} stale names, {len(made['keywords'])} functions "
              f"with stale keywords, {target.stat().st_size // 1024} KiB")  # fmt: skip


if __name__ == "__main__":
    main()
