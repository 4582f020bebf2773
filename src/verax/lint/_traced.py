"""Which functions of a module JAX traces, how, and which of their parameters stay Python values."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from verax.lint._module import Module, argument
from verax.lint._scopes import FUNCTIONS, Function

Way = Literal["staged", "eager"]

STAGING = {
    "jax.jit", "jax.pmap", "jax.vmap", "jax.checkpoint", "jax.remat", "jax.ad_checkpoint.checkpoint", "jax.make_jaxpr",
    "jax.experimental.pjit.pjit", "jax.pjit", "jax.shard_map", "jax.experimental.shard_map.shard_map", "jax.eval_shape",
    "jax.xla_computation", "jax.experimental.maps.xmap", "jax.soft_pmap",
    "flax.nnx.jit", "flax.nnx.pmap", "flax.nnx.vmap", "flax.nnx.remat", "flax.nnx.cached_partial",
    "flax.linen.jit", "flax.linen.vmap", "flax.linen.remat", "flax.linen.checkpoint",
    "haiku.jit", "haiku.vmap", "haiku.remat",
    "equinox.filter_jit", "equinox.filter_pmap", "equinox.filter_vmap", "equinox.filter_checkpoint",
    "equinox.filter_make_jaxpr", "equinox.filter_eval_shape",
    "jax.experimental.pallas.pallas_call",
}  # fmt: skip
EAGER = {
    "jax.grad", "jax.value_and_grad", "jax.vjp", "jax.jvp", "jax.linearize",
    "jax.jacfwd", "jax.jacrev", "jax.jacobian", "jax.hessian",
    "flax.nnx.grad", "flax.nnx.value_and_grad", "haiku.grad", "haiku.value_and_grad",
    "equinox.filter_grad", "equinox.filter_value_and_grad", "equinox.filter_vjp", "equinox.filter_jvp",
}  # fmt: skip
# Of calls that trace functions given at some places: those places, and the keywords.
BODIES: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    "jax.lax.scan": ((0,), ("f",)),
    "jax.lax.map": ((0,), ("f",)),
    "jax.lax.fori_loop": ((2,), ("body_fun",)),
    "jax.lax.while_loop": ((0, 1), ("cond_fun", "body_fun")),
    "jax.lax.cond": ((1, 2), ("true_fun", "false_fun")),
    "jax.lax.switch": ((1,), ("branches",)),
    "jax.lax.associative_scan": ((0,), ("fn",)),
    "jax.lax.custom_root": ((0, 2, 3), ("f", "solve", "tangent_solve")),
    "jax.lax.platform_dependent": ((), ()),
    "flax.nnx.scan": ((0,), ("f",)),
    "flax.nnx.cond": ((1, 2), ("true_fun", "false_fun")),
    "flax.nnx.while_loop": ((0, 1), ("cond_fun", "body_fun")),
    "flax.nnx.fori_loop": ((2,), ("body_fun",)),
    "flax.linen.scan": ((0,), ("target",)),
    "haiku.scan": ((0,), ("f",)),
    "haiku.fori_loop": ((2,), ("body_fun",)),
    "haiku.while_loop": ((0, 1), ("cond_fun", "body_fun")),
    "haiku.cond": ((1, 2), ("true_fun", "false_fun")),
    "equinox.internal.while_loop": ((0, 1), ("cond_fun", "body_fun")),
}
LOOP_BODIES = {name for name in BODIES if name.rpartition(".")[2] in ("scan", "map", "fori_loop", "while_loop")}
HOST = {
    "jax.debug.callback", "jax.pure_callback", "jax.experimental.io_callback", "jax.experimental.host_callback.call",
    "jax.experimental.host_callback.id_tap", "jax.debug.print", "jax.experimental.pure_callback",
}  # fmt: skip
# Those that leave Python values that are no arrays as they are.
KEEPS_PYTHON = {name for name in STAGING | EAGER if name.startswith("equinox.")}
# Those under which nothing is computed: a function that is run elsewhere is only looked at.
ABSTRACT = {
    "jax.eval_shape", "jax.make_jaxpr", "jax.xla_computation", "equinox.filter_eval_shape", "equinox.filter_make_jaxpr",
}  # fmt: skip
JITS = {
    "jax.jit", "jax.pmap", "jax.pjit", "jax.experimental.pjit.pjit", "flax.nnx.jit", "flax.nnx.pmap", "flax.linen.jit",
    "haiku.jit",
}  # fmt: skip
EVERY = "*"  # in the place of a name: which parameters `partial` has given is not known
PARTIAL = ("functools.partial", "jax.tree_util.Partial", "jax.partial")


@dataclass(frozen=True)
class Transform:
    """How a function is traced at one place.

    Attributes:
      name: dotted, of what traces it: `jax.jit`.
      way: `staged`: Python runs once, on tracers without values; `eager`: differentiation alone, where Python runs at
        every call and sees values unless something staged is around it.
      call: the call or decorator.
      static: names of parameters that stay Python values.
      bound: how many of its first parameters `partial` has given.
      is_body: whether it is a body of `scan` and the like.
    """

    name: str
    way: Way
    call: ast.AST
    static: frozenset[str] = frozenset()
    bound: int = 0
    is_body: bool = False


@dataclass(eq=False)
class Traced:
    """The functions of a module that are traced.

    Attributes:
      of: by function, the transforms that it is given to by decorator, name, lambda, `partial` or attribute of `self`.
      host: functions that run on the host: given to callbacks.
    """

    of: dict[Function, list[Transform]] = field(default_factory=dict)
    host: set[Function] = field(default_factory=set)


def traced(module: Module) -> Traced:
    """Returns the functions of a module that are traced."""
    return module.shared("traced", _found)


def transforms_around(module: Module, node: ast.AST) -> list[tuple[Function, Transform]]:
    """Returns the traced functions in which a node is evaluated, with how, from the innermost out.

    A function within a traced one is traced too; what is given to a callback is not, nor what is around it.
    """
    known = traced(module)
    found: list[tuple[Function, Transform]] = []
    for function in module.functions(node):
        if function in known.host:
            break
        found += [(function, each) for each in known.of.get(function, ())]
    return found


def is_staged(module: Module, node: ast.AST) -> bool:
    """Returns whether a node is evaluated while JAX traces without values."""
    return any(each.way == "staged" for _, each in transforms_around(module, node))


def is_traced(module: Module, node: ast.AST) -> bool:
    """Returns whether a node is evaluated while JAX traces, differentiation included."""
    return bool(transforms_around(module, node))


def parameters(function: Function, *, with_self: bool = True) -> list[ast.arg]:
    """Returns the parameters of a function that can be given by place, then those by name only."""
    found = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return found if with_self or not found or found[0].arg not in ("self", "cls") else found[1:]


def transform_of(module: Module, node: ast.AST) -> tuple[str, ast.Call | None] | None:
    """Returns the dotted name of a transform that an expression is, and the call that has its options.

    `jax.jit`, `jax.jit(static_argnums=0)` without a function and `partial(jax.jit, static_argnums=0)` are `jax.jit`,
    and so is a name that is bound to one of them.
    """
    name = module.dotted(node)
    if name is not None:
        return (name, None) if name in STAGING or name in EAGER else None
    if isinstance(node, ast.Name):
        node = module.value(node)
    if isinstance(node, ast.Call):
        called = module.dotted(node.func)
        if called in PARTIAL and node.args:
            inner = module.dotted(node.args[0])
            return (inner, node) if inner in STAGING or inner in EAGER else None
        if called in STAGING or called in EAGER:
            return (called, node) if not node.args and not _given(node) else None
    return None


def function_given(module: Module, call: ast.Call) -> ast.expr | None:
    """Returns the function that a call of a transform is given."""
    return _given(call) or (call.args[0] if call.args and not isinstance(call.args[0], ast.Starred) else None)


def _given(call: ast.Call) -> ast.expr | None:
    return next((each.value for each in call.keywords if each.arg in ("fun", "f", "func", "target")), None)


def returns_of(module: Module, function: Function) -> list[ast.expr]:
    """Returns what a function returns, as expressions within it."""
    if isinstance(function, ast.Lambda):
        return [function.body]
    return module.shared("returns", _returns).get(function, [])


def _returns(module: Module) -> dict[Function, list[ast.expr]]:
    found: dict[Function, list[ast.expr]] = {}
    for node in module.nodes(ast.Return):
        function = module.function(node)
        if function is not None and node.value is not None:
            found.setdefault(function, []).append(node.value)
    return found


def unwrapped(module: Module, node: ast.expr | None) -> Iterator[tuple[Function, int, frozenset[str]]]:
    """Yields functions of this file that an expression stands for, how many parameters are bound, and which by name.

    `partial`, other transforms, decorator-like calls of transforms, lists of branches, conditional expressions, methods
    of an object made from a class of this file, and calls of functions of this file that return a function are looked
    through.
    """
    seen: set[ast.AST] = set()

    def inside(
        node: ast.expr | None, bound: int, named: frozenset[str]
    ) -> Iterator[tuple[Function, int, frozenset[str]]]:
        if node is None or node in seen:
            return
        seen.add(node)
        found = module.definition(node)
        if isinstance(found, FUNCTIONS):
            is_method = (
                isinstance(node, ast.Attribute) and bool(found.args.args) and found.args.args[0].arg in ("self", "cls")
            )
            yield found, bound + is_method, named
        elif isinstance(node, ast.Name):
            value = module.value(node)
            if value is not node:
                yield from inside(value, bound, named)
            else:
                yield from inside(_unpacked(module, node), bound, named)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Call):
            made = module.value(node.value)
            owner = module.definition(made.func) if isinstance(made, ast.Call) else None
            method = module.method(owner, node.attr) if isinstance(owner, ast.ClassDef) else None
            if method is not None:
                is_static = any(module.dotted(each) == "builtins.staticmethod" for each in method.decorator_list)
                yield method, bound + (not is_static), named
        elif isinstance(node, ast.List | ast.Tuple):
            for each in node.elts:
                yield from inside(each, bound, named)
        elif isinstance(node, ast.IfExp):
            yield from inside(node.body, bound, named)
            yield from inside(node.orelse, bound, named)
        elif isinstance(node, ast.Call):
            called = module.dotted(node.func)
            if called in PARTIAL and node.args:
                given = frozenset(each.arg or EVERY for each in node.keywords)
                if any(isinstance(each, ast.Starred) for each in node.args):
                    given |= {EVERY}
                yield from inside(node.args[0], bound + len(node.args) - 1, named | given)
            elif called in STAGING or called in EAGER or called in BODIES:
                yield from inside(function_given(module, node), bound, named)
            elif transform_of(module, node.func) and node.args:
                yield from inside(node.args[0], bound, named)
            elif called is None:
                factory = module.definition(node.func)
                if isinstance(factory, ast.FunctionDef):
                    for each in returns_of(module, factory):
                        yield from inside(each, bound, named)

    yield from inside(node, 0, frozenset())


def _unpacked(module: Module, node: ast.Name) -> ast.expr | None:
    """Returns the function that a factory of this file returns at the place that a name is unpacked from."""
    binding = module.binding(node)
    if binding is None or binding.kind != "assign" or not binding.path or len(binding.path) != 1:
        return None
    value = binding.value
    factory = module.definition(value.func) if isinstance(value, ast.Call) else None
    if isinstance(factory, ast.FunctionDef):
        returned = returns_of(module, factory)
        if len(returned) == 1 and isinstance(returned[0], ast.Tuple) and -1 <= binding.path[0] < len(returned[0].elts):
            return returned[0].elts[binding.path[0]]
    return None


def _found(module: Module) -> Traced:
    known = Traced()
    # Functions of this file that trace one of their own parameters: what they are given is traced.
    wrappers: dict[Function, list[tuple[str, str, ast.Call]]] = {}
    for kind in (ast.FunctionDef, ast.AsyncFunctionDef):
        for function in module.nodes(kind):
            for decorator in function.decorator_list:
                named = transform_of(module, decorator)
                if named is not None:
                    _add(known, module, function, named[0], decorator, named[1], 0, frozenset())
    local: list[ast.Call] = []
    for call in module.nodes(ast.Call):
        name = module.dotted(call.func)
        if name is None:
            named = transform_of(module, call.func)  # jax.jit(static_argnums=0)(f), partial(jax.jit, ...)(f)
            if named is not None and call.args:
                for function, bound, given in unwrapped(module, call.args[0]):
                    _add(known, module, function, named[0], call, named[1], bound, given)
            else:
                local.append(call)
        elif name in STAGING or name in EAGER:
            target = function_given(module, call)
            for function, bound, given in unwrapped(module, target):
                _add(known, module, function, name, call, call, bound, given)
            _wraps(module, wrappers, target, name, call)
        elif name in BODIES:
            places, names = BODIES[name]
            for place, keyword in zip(places, names, strict=True):
                target = argument(call, place, keyword)
                for function, bound, given in unwrapped(module, target):
                    _add_body(known, function, name, call, bound, given)
                _wraps(module, wrappers, target, name, call)
        elif name in HOST:
            target = argument(call, 0, "callback", "callback_func", "tap_func", "func")
            known.host |= {function for function, _, _ in unwrapped(module, target)}
    if wrappers:
        _add_wrapped(known, module, wrappers, local)
    return known


def _wraps(
    module: Module, wrappers: dict[Function, list[tuple[str, str, ast.Call]]], target: ast.expr | None, name: str,
    call: ast.Call,
) -> None:  # fmt: skip
    if isinstance(target, ast.Name):
        binding = module.binding(target)
        if binding is not None and binding.kind == "param" and len(module.bindings(target)) == 1:
            owner = module.parents[module.parents[binding.node]]
            if isinstance(owner, ast.FunctionDef):
                wrappers.setdefault(owner, []).append((binding.name, name, call))


def _add_wrapped(
    known: Traced, module: Module, wrappers: dict[Function, list[tuple[str, str, ast.Call]]], calls: list[ast.Call]
) -> None:
    def add(target: ast.expr | None, name: str, call: ast.Call) -> None:
        for function, bound, given in unwrapped(module, target):
            if name in BODIES:
                _add_body(known, function, name, call, bound, given)
            else:
                _add(known, module, function, name, call, call, bound, given)

    for call in calls:
        wrapper = module.definition(call.func)
        if not isinstance(wrapper, ast.FunctionDef):
            continue
        for parameter, name, inner in wrappers.get(wrapper, ()):
            places = [each.arg for each in parameters(wrapper, with_self=not isinstance(call.func, ast.Attribute))]
            place = places.index(parameter) if parameter in places else None
            add(argument(call, place, parameter), name, inner)
    for function in list(module.nodes(ast.FunctionDef)):
        for decorator in function.decorator_list:
            wrapper = module.definition(decorator) if isinstance(decorator, ast.Name) else None
            if not isinstance(wrapper, ast.FunctionDef):
                continue
            for parameter, name, inner in wrappers.get(wrapper, ()):
                if parameters(wrapper)[0].arg == parameter and name not in BODIES:
                    _add(known, module, function, name, inner, inner, 0, frozenset())


def _add(
    known: Traced, module: Module, function: Function, name: str, at: ast.AST, options: ast.Call | None, bound: int,
    given: frozenset[str],
) -> None:  # fmt: skip
    way: Way = "staged" if name in STAGING else "eager"
    static = _named(function, bound, given) | static_names(module, function, options, bound)
    if way == "eager":
        static |= _not_differentiated(module, function, name, options, bound)
    elif name.endswith(".vmap") and options is not None:
        static |= _not_mapped(module, function, options, bound)
    elif name.endswith("shard_map") and options is not None:
        static |= _not_sharded(module, function, options, bound)
    known.of.setdefault(function, []).append(Transform(name, way, at, static, bound))


def _add_body(known: Traced, function: Function, name: str, call: ast.Call, bound: int, given: frozenset[str]) -> None:
    static = _named(function, bound, given)
    known.of.setdefault(function, []).append(Transform(name, "staged", call, static, bound, name in LOOP_BODIES))


def _by_place(function: Function, bound: int) -> list[str]:
    every = [*function.args.posonlyargs, *function.args.args]
    return [each.arg for each in every[bound:]]


def _not_differentiated(
    module: Module, function: Function, name: str, options: ast.Call | None, bound: int
) -> frozenset[str]:
    """Returns the parameters that a gradient is not taken of; eager Python sees their values."""
    if name in ("jax.vjp", "jax.jvp", "jax.linearize"):
        return frozenset()
    chosen = None if options is None else argument(options, _place(module, options), "argnums")
    numbers: list[object] = [0] if chosen is None else literals(module, chosen)
    places = _by_place(function, bound)
    kept = {places[each] for each in numbers if isinstance(each, int) and -len(places) <= each < len(places)}
    return frozenset(each.arg for each in parameters(function)) - kept


def _not_mapped(module: Module, function: Function, options: ast.Call, bound: int) -> frozenset[str]:
    """Returns the parameters that `vmap` passes on as they are; all of them where `in_axes` is not known."""
    axes = argument(options, _place(module, options), "in_axes")
    if axes is None:
        return frozenset()
    axes = module.value(axes)
    if isinstance(axes, ast.Constant):
        return frozenset() if axes.value is not None else frozenset(_by_place(function, bound))
    if isinstance(axes, ast.Tuple | ast.List) and not any(isinstance(each, ast.Starred) for each in axes.elts):
        places = _by_place(function, bound)
        return frozenset(
            place for place, each in zip(places, axes.elts, strict=False) if not _is_mapped(module.value(each))
        )  # fmt: skip
    return frozenset(each.arg for each in parameters(function))


def _not_sharded(module: Module, function: Function, options: ast.Call, bound: int) -> frozenset[str]:
    """Returns the parameters whose entry of `in_specs` is None: `shard_map` passes them on as they are."""
    specs = next((module.value(each.value) for each in options.keywords if each.arg == "in_specs"), None)
    if not isinstance(specs, ast.Tuple) or any(isinstance(each, ast.Starred) for each in specs.elts):
        return frozenset()
    named = zip(_by_place(function, bound), specs.elts, strict=False)
    return frozenset(name for name, each in named if isinstance(each, ast.Constant) and each.value is None)


def _place(module: Module, options: ast.Call) -> int | None:
    """Returns where the first option after the function stands: `grad(f, 1)`, `vmap(f, (0, None))`."""
    return None if module.dotted(options.func) in PARTIAL else 1


def _is_mapped(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) or (isinstance(node, ast.Constant) and node.value is not None)


def _named(function: Function, bound: int, given: frozenset[str]) -> frozenset[str]:
    """Returns the parameters that `partial` has given: they keep the value of the place where that stands."""
    if EVERY in given:
        return frozenset(each.arg for each in parameters(function))
    return frozenset(each.arg for each in parameters(function)[:bound]) | given


def static_names(module: Module, function: Function, options: ast.Call | None, bound: int = 0) -> frozenset[str]:
    """Returns the parameters that `static_argnums`, `static_argnames` and broadcast arguments keep as Python values."""
    if options is None:
        return frozenset()
    every = parameters(function)
    by_place = every[: len(function.args.posonlyargs) + len(function.args.args)][bound:]
    found: set[str] = set()
    for each in options.keywords:
        values = literals(module, each.value)
        if each.arg in ("static_argnums", "static_broadcasted_argnums"):
            for value in values:
                if isinstance(value, int) and -len(by_place) <= value < len(by_place):
                    found.add(by_place[value].arg)
            if not values and not _is_empty(module, each.value):
                found |= {one.arg for one in every}  # not a literal: nothing is known of any
        elif each.arg == "static_argnames":
            found |= {name.strip() for value in values if isinstance(value, str) for name in value.split(",")}
            if not values and not _is_empty(module, each.value):
                found |= {one.arg for one in every}
        elif each.arg is None:
            found |= {one.arg for one in every}  # **options
    return frozenset(found)


def _is_empty(module: Module, node: ast.expr) -> bool:
    node = module.value(node)
    if isinstance(node, ast.Constant):
        return node.value is None
    return isinstance(node, ast.Tuple | ast.List) and not node.elts


def literals(module: Module, node: ast.expr) -> list[object]:
    """Returns the constants of a literal, a list or tuple of them, or a name bound to one; empty where it is none."""
    node = module.value(node)
    if isinstance(node, ast.Constant):
        return [node.value]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        return [-value] if isinstance(value, int | float) else []
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        found = [literals(module, each) for each in node.elts]
        return [each for one in found for each in one] if all(found) else []
    return []
