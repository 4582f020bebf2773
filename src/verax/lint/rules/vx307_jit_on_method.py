"""VX307: jit on a method traces `self` too."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._imports import added_import
from verax.lint._module import Module, keyword
from verax.lint._report import Edit, Fix
from verax.lint._rule import Found, rule
from verax.lint._taint_params import is_pytree
from verax.lint._traced_params import parameters, static_names
from verax.lint._transforms import transform_of

PLAIN_BASES = {"builtins.object", "abc.ABC", "typing.Generic", "typing.Protocol", "flax.linen.Module"}
PLAIN_DECORATORS = {"dataclasses.dataclass", "functools.total_ordering", "typing.final"}
JIT = {"jax.jit", "jax.pjit", "jax.experimental.pjit.pjit", "jax.pmap"}


@rule("VX307", "jit-on-method", "error")
def jit_on_method(module: Module) -> Iterator[Found]:
    """`jax.jit` decorates a method of a class that is no tree of arrays.

    `self` is an argument like any other, and JAX does not know how to trace an object of an ordinary class: the call
    raises TypeError. With `self` static it works, but what `self` holds is then a constant of the compiled function,
    and later changes are not seen.

    Bad:

        class Model:
            @jax.jit
            def forward(self, x): ...

    Good:

        class Model:
            @functools.partial(jax.jit, static_argnums=0)
            def forward(self, x): ...

    The fix makes `self` static and is unsafe for that reason. Classes that JAX takes apart (equinox modules, named
    tuples, `flax.struct.dataclass`, registered classes) are fine, and classes with bases from elsewhere are not judged.
    """
    registered: set[str] | None = None
    for function in module.nodes(ast.FunctionDef):
        owner = module.parents.get(function)
        if not function.decorator_list or not isinstance(owner, ast.ClassDef):
            continue
        names = {module.dotted(each) for each in function.decorator_list}
        if names & {"builtins.staticmethod", "builtins.classmethod"} or function.name == "__new__":
            continue
        found = next(
            ((each, named) for each in function.decorator_list if (named := transform_of(module, each)) is not None),
            None,
        )
        if found is None or found[1][0] not in JIT:
            continue
        every = parameters(function)
        if not every or every[0] not in [*function.args.posonlyargs, *function.args.args]:
            continue
        decorator, (name, options) = found
        first = every[0].arg
        if first in static_names(module, function, options) or not _is_plain(module, owner):
            continue
        if registered is None:
            registered = _registered(module)
        if owner.name in registered:
            continue
        short = name.rpartition(".")[2]
        message = f"{short} traces `{first}`, but {owner.name} is no tree of arrays, so calling {function.name} raises."
        message += f" Make {first} static, or move the function out of the class."
        yield Found(decorator, message, _fix(module, decorator, options, first))


def _is_plain(module: Module, owner: ast.ClassDef) -> bool:
    """Returns whether a class is for sure one that JAX does not take apart."""
    if owner.keywords or not module.bases(owner) <= PLAIN_BASES or is_pytree(module, owner):
        return False
    left, seen = [owner], set[ast.ClassDef]()
    while left:
        each = left.pop()
        if each in seen:
            continue
        seen.add(each)
        if is_pytree(module, each) or each.keywords:
            return False
        if any((module.dotted(one) or module.called(one)) not in PLAIN_DECORATORS for one in each.decorator_list):
            return False
        left += [base for node in each.bases if isinstance(base := module.definition(node), ast.ClassDef)]
    return True


def _registered(module: Module) -> set[str]:
    """Returns the names that are given to a function that registers something."""
    return {
        argument.id
        for call in module.nodes(ast.Call)
        for argument in [*call.args, *(each.value for each in call.keywords)]
        if isinstance(argument, ast.Name) and "register" in _last(call.func)
    }


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _fix(module: Module, decorator: ast.expr, options: ast.Call | None, first: str) -> Fix | None:
    title = f"Make {first} static"
    if options is None:
        if module.dotted(decorator) is None:
            return None
        name, edits = added_import(module, "functools")
        text = f"{name}.partial({module.source(decorator)}, static_argnums=0)"
        return Fix(title, (*edits, module.replaced(decorator, text)), safe=False)
    if options is not decorator or keyword(options, "static_argnums"):
        return None
    given = keyword(options, "static_argnames")
    if given is None:
        last = max(module.span(each)[1] for each in [*options.args, *(one.value for one in options.keywords)])
        return Fix(title, (Edit(last, last, ", static_argnums=0"),), safe=False)
    if isinstance(given.value, ast.Tuple | ast.List) and given.value.elts:
        start = module.span(given.value.elts[0])[0]
        return Fix(title, (Edit(start, start, f'"{first}", '),), safe=False)
    if isinstance(given.value, ast.Constant):
        text = f'("{first}", {module.source(given.value)})'
        return Fix(title, (module.replaced(given.value, text),), safe=False)
    return None
