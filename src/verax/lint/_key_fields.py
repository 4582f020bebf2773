"""Which attributes of a class keep the key that they are given."""

from __future__ import annotations

import ast
import functools

from verax.lint._module import Module

INITIALIZING = ("__init__", "__post_init__", "setup", "__new__", "__attrs_post_init__")


class Fields:
    """The attributes of classes that are set or annotated in them, and not computed by a property."""

    def __init__(self, module: Module):
        self.module = module
        self.known: dict[ast.ClassDef, frozenset[str]] = {}

    def of(self, owner: ast.ClassDef) -> frozenset[str]:
        """Returns those of a class and its bases in this file."""
        if owner not in self.known:
            self.known[owner] = frozenset()
            found: set[str] = set()
            for statement in owner.body:
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                    found.add(statement.target.id)
                elif isinstance(statement, ast.Assign):
                    found |= {each.id for each in statement.targets if isinstance(each, ast.Name)}
                elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                    found |= set(self.set_in(statement))
            for base in owner.bases:
                around = self.module.definition(base)
                if isinstance(around, ast.ClassDef):
                    found |= self.of(around)
            methods = {each.name for each in owner.body if isinstance(each, ast.FunctionDef)}
            self.known[owner] = frozenset(found - methods)
        return self.known[owner]

    def set_in(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> frozenset[str]:
        """Returns the attributes of `self` that a method sets."""
        return frozenset(self._stored.get(function, ()))

    def changing(self, owner: ast.ClassDef, here: ast.AST) -> frozenset[str]:
        """Returns the attributes that methods of a class set, other than where it is made, and than one given."""
        found: set[str] = set()
        for each in owner.body:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each is not here:
                found |= self.set_in(each) if each.name not in INITIALIZING else set()
        return frozenset(found)

    @functools.cached_property
    def _stored(self) -> dict[ast.AST | None, set[str]]:
        found: dict[ast.AST | None, set[str]] = {}
        for each in self.module.nodes(ast.Attribute):
            if isinstance(each.ctx, ast.Store) and isinstance(each.value, ast.Name) and each.value.id == "self":
                found.setdefault(self.module.function(each), set()).add(each.attr)
        return found


def fields(module: Module) -> Fields:
    """Returns the attributes of the classes of a module."""
    return module.shared("fields", Fields)
