"""VX204: a traced method must not assign attributes of its object."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._mutation import effects_around, method_self
from verax.lint._rule import Found, rule
from verax.lint._taint import taint
from verax.lint._taint_params import is_pytree

LINEN = "flax.linen.Module"
SETUP = {"setup", "__init__", "__post_init__", "__setattr__", "__init_subclass__", "__setstate__", "__new__"}


@rule("VX204", "self-mutation-in-traced", "error")
def self_mutation_in_traced(module: Module) -> Iterator[Found]:
    """An attribute of `self` is assigned in a method that JAX traces, or in a method of a linen module.

    The assignment happens once, while JAX traces, and stores a tracer: the next use of the attribute raises
    UnexpectedTracerError. Linen modules are frozen outside of `setup` and raise SetAttributeFrozenModuleError.

    Bad:

        @functools.partial(jax.jit, static_argnums=0)
        def update(self, grads):
            self.params = self.params - grads

    Good:

        @jax.jit
        def update(params, grads):
            return params - grads

    There is no fix: return the new value and assign it outside. NNX modules and their variables are made to be changed
    and are left alone, and so are methods of classes that are registered as trees, whose `self` is a copy.
    """
    for kind in (ast.Assign, ast.AugAssign, ast.AnnAssign):
        for node in module.nodes(kind):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in [one for each in targets for one in _flat(each)]:
                if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and node.value is not None:
                    yield from _judged(module, node, target, target.value, node.value)


def _flat(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        for each in target.elts:
            yield from _flat(each)
    else:
        yield target


def _judged(module: Module, node: ast.stmt, target: ast.Attribute, root: ast.Name, value: ast.expr) -> Iterator[Found]:
    method = method_self(module, node)
    if method is None or method[2] != root.id:
        return
    function, owner, name = method
    bases = module.bases(owner)
    if LINEN in bases:
        if function.name not in SETUP and not _is_setter(function) and not _is_of_setup(module, owner, function.name):
            message = f"linen modules are frozen outside of setup: assigning {name}.{target.attr} raises. Return it."
            yield Found(node, message)
        return
    around = effects_around(module, node)
    if not around or any(each.startswith(("flax.nnx", "equinox", "objax", "haiku")) for each in bases):
        return
    inner, transform = around[0]
    if transform.name.startswith(("flax.", "equinox.", "haiku.")) or function.name in SETUP:
        return
    binding = module.binding(root)
    if binding is None or binding.kind != "param" or len(module.bindings(root)) != 1:
        return
    is_own = inner is function
    is_bound = name in transform.static
    if is_own and not is_bound and (is_pytree(module, owner) or "?" in bases or transform.way == "staged"):
        return  # `self` is an argument: a copy that is made from its leaves, or an error of its own (VX307)
    known = taint(module)
    how = transform.name.rpartition(".")[2]
    if known.anywhere(value) or known.anywhere(target):
        message = f"{name}.{target.attr} is assigned while {how} traces, and keeps a tracer. Return the value instead."
        yield Found(node, message)
    else:
        message = f"{name}.{target.attr} is assigned once, while {how} traces, not at every call. Return it instead."
        yield Found(node, message, level="error" if transform.way == "staged" else "warning")


def _is_of_setup(module: Module, owner: ast.ClassDef, name: str) -> bool:
    """Returns whether `setup` of a class calls a method, which may then assign to `self` as `setup` itself may."""
    setup = module.method(owner, "setup")
    return setup is not None and any(
        isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr == name
        for each in ast.walk(setup)
    )


def _is_setter(function: ast.FunctionDef) -> bool:
    return any(isinstance(each, ast.Attribute) and each.attr == "setter" for each in function.decorator_list)
