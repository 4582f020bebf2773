"""Where a module uses names of JAX and its libraries that are stale, or that no release has."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from verax.lint._guards import is_guarded
from verax.lint._module import Module
from verax.lint._replacements import DOCUMENTED
from verax.lint._report import Level
from verax.lint._scopes import Binding, Scope
from verax.lint._tables import DEPTH, NOT_PUBLIC, ROOTS, Contents, Stale, table
from verax.lint._versions import target

Way = str  # "gone", "deprecated" or "unknown"


@dataclass(eq=False)
class Use:
    """A name of a library that should be another.

    Attributes:
      node: an attribute, an import, or a name that is imported. dotted: what is used: `jax.numpy.in1d`. way: `gone`:
      the newest release that is allowed has it no more; `deprecated`: it warns; `unknown`: no release has it. stale:
      when it came and went; None where it is unknown. is_sure: whether it fails: not where only the last few releases
      took it away, or where nothing runs. rest: nodes that use the same module through its import; they are not
      reported themselves.
    """

    node: ast.AST
    dotted: str
    way: Way
    stale: Stale | None = None
    is_sure: bool = True
    rest: list[ast.Attribute] = field(default_factory=list)

    @property
    def package(self) -> str:
        """The library."""
        return self.dotted.partition(".")[0]

    @property
    def since(self) -> str:
        """When it was taken away, or deprecated, in words."""
        assert self.stale is not None
        if self.way == "gone":
            return f"was removed in {self.package} {self.stale.removed}"
        return f"is deprecated since {self.package} {self.stale.deprecated}"

    @property
    def level(self) -> Level:
        """An error if it fails, a warning if it still works, or works for many."""
        return "warning" if self.way == "deprecated" or not self.is_sure else "error"


def uses(module: Module) -> list[Use]:
    """Returns what a module uses that is stale or unknown, in the order of the text, without what a version guards."""
    return module.shared("uses of libraries", lambda each: _Finder(each).found())


def real_name(module: Module, node: ast.AST) -> str | None:
    """Returns the dotted name of an expression as it is written; `Module.dotted` gives the one that rules know."""
    return _finder(module).real(node)


def _finder(module: Module) -> _Finder:
    return module.shared("finder of libraries", _Finder)


def owner(module: Module) -> str:
    """Returns the library that a file is part of; empty for others. A library uses what it takes away."""
    parts = module.file.replace("\\", "/").split("/")
    for place, part in enumerate(parts[:-1]):
        if part in ("site-packages", "dist-packages"):
            return parts[place + 1].removesuffix(".py")
    return module.name.partition(".")[0]


class _Finder:
    def __init__(self, module: Module):
        self.module = module
        own = owner(module)
        self.judged = tuple(each for each in ROOTS if each != own)
        self.imports: list[ast.Import | ast.ImportFrom] = []
        self.names: set[str] = set()  # under which libraries, or things of theirs, are known somewhere in the file
        for node in module.nodes(ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in self.judged:
                    self.names.add(alias.asname or alias.name.partition(".")[0])
                    self.imports.append(node)
        for node in module.nodes(ast.ImportFrom):
            if not node.level and (node.module or "").partition(".")[0] in self.judged:
                self.names |= {each.asname or each.name for each in node.names}
                self.imports.append(node)
        self.imports = list(dict.fromkeys(self.imports))
        if self.names:
            for assign in module.nodes(ast.Assign):
                if isinstance(assign.value, ast.Name | ast.Attribute) and self.root(assign.value) in self.names:
                    self.names |= {each.id for each in assign.targets if isinstance(each, ast.Name)}
        self.bound: dict[int, str | None] = {}  # by the list of a name's bindings: what all of them import
        self.contents_of: dict[str, Contents | None] = {}
        self.sound: dict[str, bool] = {}
        self.patched: set[str] = set()  # names that the file itself puts there

    @staticmethod
    def root(node: ast.expr) -> str:
        while isinstance(node, ast.Attribute):
            node = node.value
        return node.id if isinstance(node, ast.Name) else ""

    # What names stand for.

    def real(self, node: ast.AST) -> str | None:
        """Returns the dotted name of an expression, as it is written."""
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.names:
            return None
        base = self.origin(node)
        return None if base is None else ".".join([base, *reversed(attributes)])

    def origin(self, node: ast.Name) -> str | None:
        """Returns what a name is imported as, where all that binds it agrees; through names of names."""
        bindings = self.module.bindings(node)
        if not bindings:
            return None
        key = id(bindings)
        if key not in self.bound:
            self.bound[key] = None  # a name that is bound to itself ends here
            origins = {self.binding_origin(each) for each in bindings}
            self.bound[key] = origins.pop() if len(origins) == 1 else None
        return self.bound[key]

    def binding_origin(self, binding: Binding) -> str | None:
        if binding.kind == "import":
            is_relative = isinstance(binding.node, ast.ImportFrom) and binding.node.level
            return None if is_relative else binding.origin
        if binding.kind == "assign" and binding.path == () and isinstance(binding.value, ast.Name | ast.Attribute):
            return self.real(binding.value)
        return None

    # Tables.

    def contents(self, dotted: str) -> Contents | None:
        """Returns a module's contents, where the newest release that is allowed has it."""
        if dotted not in self.contents_of:
            package = dotted.partition(".")[0]
            found = table(package).module(dotted) if package in self.judged else None
            if found is not None and target(self.module, package).has(found.until):
                found = None
            self.contents_of[dotted] = found
        return self.contents_of[dotted]

    def step(self, dotted: str, *, is_import: bool = False) -> tuple[Way, Stale | None] | None:
        """Returns what is wrong with the last part of a name whose module is there; None if nothing is."""
        package = dotted.partition(".")[0]
        parent, _, name = dotted.rpartition(".")
        limits = target(self.module, package)
        documented = DOCUMENTED.get(dotted)
        if documented is not None:
            stale = Stale(*documented)
            if limits.has(stale.removed):
                return "gone", stale
            return ("deprecated", stale) if limits.has(stale.deprecated) else None
        known = table(package).module(dotted)
        if is_import and known is not None and not limits.has(known.until):
            return None
        contents = self.contents(parent)
        if contents is None or name[:1] == "_":
            return None
        if name in contents.names and not is_import:
            return None
        stale = contents.stale(name)
        if known is not None and known.until is not None and (is_import or stale is None):
            stale = Stale(known.since, None, known.until, stale.said if stale else "")
            return ("gone", stale) if limits.has(stale.removed) else None
        if stale is not None:
            if limits.has(stale.removed):
                return None if contents.is_open else ("gone", stale)
            return ("deprecated", stale) if limits.has(stale.deprecated) else None
        if name in contents.names or known is not None or contents.is_open or limits.is_beyond:
            return None
        if name in NOT_PUBLIC or name.endswith("_test") or (is_import and parent.count(".") + 2 > DEPTH):
            return None
        return "unknown", None

    def path(self, dotted: str) -> tuple[str, Way, Stale | None] | None:
        """Returns the first part of an imported module's name that is wrong, and how; None if none is."""
        package = dotted.partition(".")[0]
        root = ROOTS[package]
        if not f"{dotted}.".startswith(f"{root}."):
            return None
        parts = dotted.split(".")
        for count in range(root.count(".") + 2, len(parts) + 1):
            part = ".".join(parts[:count])
            wrong = self.step(part, is_import=True)
            if wrong is not None:
                return part, *wrong
            if self.contents(part) is None:
                return None
        return None

    def is_module(self, dotted: str) -> bool:
        """Returns whether an expression with a name is a module of which the names are known."""
        contents = self.contents(dotted)
        return contents is not None and not contents.is_hidden

    # Uses.

    def found(self) -> list[Use]:
        """Returns the uses."""
        if not self.imports:
            return []
        found = [*self.of_imports()]
        whole = {each.dotted: each for each in found if isinstance(each.node, ast.Import)}
        for use in self.of_attributes():
            same = next((each for name, each in whole.items() if f"{use.dotted}.".startswith(f"{name}.")), None)
            if same is not None and isinstance(use.node, ast.Attribute):
                same.rest.append(use.node)  # one report: the import
            else:
                found.append(use)
        kept = [each for each in found if each.dotted not in self.patched and not is_guarded(self.module, each.node)]
        for each in kept:
            removed = each.stale.removed if each.stale is not None else None
            is_old = removed is None or target(self.module, each.package).surely_has(removed)
            each.is_sure = is_old and not is_for_types(self.module, each.node)
        return sorted(kept, key=lambda each: (each.node.lineno, each.node.col_offset))  # type: ignore[attr-defined]

    def of_imports(self) -> Iterator[Use]:
        for node in self.imports:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name.partition(".")[0] in self.judged and (wrong := self.path(alias.name)):
                        yield Use(node, *wrong)
                continue
            base = node.module or ""
            wrong = self.path(base)
            if wrong is not None:
                yield Use(node, *wrong)
            elif self.contents(base) is not None:
                for alias in node.names:
                    if alias.name != "*" and (step := self.step(f"{base}.{alias.name}")) is not None:
                        yield Use(alias, f"{base}.{alias.name}", *step)

    def of_attributes(self) -> Iterator[Use]:
        parents = self.module.parents
        for node in self.module.nodes(ast.Name):
            if node.id not in self.names:
                continue
            above = parents.get(node)
            if not isinstance(above, ast.Attribute):
                continue
            dotted = self.origin(node)
            if dotted is None or dotted.partition(".")[0] not in self.judged:
                continue
            if not self.is_sound(dotted):
                continue
            child: ast.AST = node
            while isinstance(above, ast.Attribute) and above.value is child:
                full = f"{dotted}.{above.attr}"
                if not self.is_module(dotted) and full not in DOCUMENTED:
                    if full not in ROOTS.values():
                        break
                elif (wrong := self.step(full)) is not None:
                    if isinstance(above.ctx, ast.Load):
                        yield Use(above, full, *wrong)
                    else:
                        self.patched.add(full)
                    break
                child, dotted, above = above, full, parents.get(above)

    def is_sound(self, dotted: str) -> bool:
        """Returns whether nothing is wrong with what a name was imported as; else the import is reported."""
        if dotted not in self.sound:
            parent, _, _ = dotted.rpartition(".")
            wrong = self.step(dotted) if self.contents(parent) is not None else self.path(dotted)
            self.sound[dotted] = dotted in ROOTS or wrong is None
        return self.sound[dotted]


def is_for_types(module: Module, node: ast.AST) -> bool:
    """Returns whether a node is read by type checkers only."""
    return any(
        isinstance(each, ast.If) and module.source(each.test).endswith("TYPE_CHECKING") for each in module.around(node)
    )


def visible(module: Module, node: ast.AST, name: str) -> str | None:
    """Returns what a name is imported as at the top of the file, where nothing hides it at a node; else None."""
    scope: Scope
    for scope in module.scopes[node].chain():
        bindings = scope.bindings.get(name)
        if bindings is not None:
            one = bindings[0]
            is_only = scope.parent is None and len({each.origin for each in bindings}) == 1
            return one.origin if is_only and one.kind == "import" else None
    return None
