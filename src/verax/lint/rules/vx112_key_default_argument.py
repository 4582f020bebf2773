"""VX112: a key as a default."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module, keyword
from verax.lint._rule import Found, rule

MAKERS = ("jax.random.PRNGKey", "jax.random.key")
DERIVED = ("jax.random.split", "jax.random.fold_in", "jax.random.clone")
FIELDS = ("dataclasses.field", "flax.struct.field", "equinox.field", "attr.ib", "attrs.field", "chex.field")


@rule("VX112", "key-default-argument", "warning")
def key_default_argument(module: Module) -> Iterator[Found]:
    """A random key as the default of a parameter, or of a field of a class.

    Python makes a default once, when the function is defined: every call without the argument draws the same numbers,
    and importing the file already starts JAX.

    Bad:

        def sample(shape, key=jax.random.key(0)): ...

    Good:

        def sample(shape, key): ...

    There is no fix: the callers must pass a key then. What is not seen: defaults that a function makes.
    """
    for kind in (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda):
        for function in module.nodes(kind):
            arguments = function.args
            by_place = [*arguments.posonlyargs, *arguments.args]
            named = list(zip(by_place[len(by_place) - len(arguments.defaults) :], arguments.defaults, strict=True))
            named += [
                (name, value)
                for name, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
                if value is not None
            ]
            for name, value in named:
                if _is_key(module, value):
                    yield Found(value, _message(name.arg, "every call without it"))
    for statement in module.nodes(ast.AnnAssign):
        around = module.parents.get(statement)
        if isinstance(around, ast.ClassDef) and statement.value is not None and isinstance(statement.target, ast.Name):
            value = statement.value
            if isinstance(value, ast.Call) and module.dotted(value.func) in FIELDS:
                default = keyword(value, "default")
                if default is None:
                    continue
                value = default.value
            if _is_key(module, value) and not _is_class_variable(statement):
                yield Found(value, _message(statement.target.id, f"every `{around.name}` without it"))


def _message(name: str, who: str) -> str:
    return f"the default of `{name}` is one key, made once, so {who} draws the same numbers; make it required."


def _is_key(module: Module, node: ast.expr) -> bool:
    value = module.value(node)
    value = value.value if isinstance(value, ast.Subscript) else value
    if not isinstance(value, ast.Call):
        return False
    name = module.dotted(value.func)
    return name in MAKERS or (name in DERIVED and bool(value.args) and _is_key(module, value.args[0]))


def _is_class_variable(statement: ast.AnnAssign) -> bool:
    return "ClassVar" in ast.unparse(statement.annotation)
