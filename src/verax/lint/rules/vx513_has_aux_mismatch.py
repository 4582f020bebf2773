"""VX513: a loss that returns more than its value, and `has_aux`."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._edits import added_argument
from verax.lint._module import Module, argument, has_stars
from verax.lint._reaching import JITTED, PARTIAL, certain, is_plain, returned
from verax.lint._report import Fix
from verax.lint._rule import Found, rule
from verax.lint._scopes import FUNCTIONS, Function
from verax.lint._transforms import transform_of

# Of each, where `has_aux` may stand by place.
GRADIENTS: dict[str, int | None] = {
    "jax.grad": 2, "jax.value_and_grad": 2, "flax.nnx.grad": None, "flax.nnx.value_and_grad": None,
    "equinox.filter_grad": None, "equinox.filter_value_and_grad": None, "haiku.grad": 2, "haiku.value_and_grad": 2,
}  # fmt: skip
SCALAR = ("sum", "mean", "max", "min", "astype", "squeeze", "dot", "var", "std", "prod")
DEPTH = 6


@rule("VX513", "has-aux-mismatch", "error")
def has_aux_mismatch(module: Module) -> Iterator[Found]:
    """`grad` of a function that returns a tuple, without `has_aux=True`; or with it, of one that returns a value alone.

    JAX differentiates one number. It raises "Gradient only defined for scalar-output functions" for a tuple, unless
    `has_aux=True` says that the rest is only to be handed on, and "expected two-element tuple" where there is no rest.

    Bad:

        grads = jax.grad(lambda params: (loss(params), metrics))(params)

    Good:

        grads, metrics = jax.grad(lambda params: (loss(params), metrics), has_aux=True)(params)

    The fix adds or removes the argument; it is not safe, as what is returned must be unpacked otherwise. A function
    whose returns differ, and a `has_aux` that is computed, are not judged.
    """
    for call in module.nodes(ast.Call):
        name = module.dotted(call.func)
        if name in GRADIENTS and name is not None and not has_stars(call):
            function = argument(call, 0, "fun", "f")
            if function is not None:
                for each in _functions(module, function):
                    yield from _judged(module, call, name, each, call)
                    break
        elif name is None and call.args and isinstance(call.func, ast.Call):
            options = transform_of(module, call.func)  # partial(jax.grad, has_aux=True)(loss)
            if options is not None and options[0] in GRADIENTS and not has_stars(call):
                for each in _functions(module, call.args[0]):
                    yield from _judged(module, options[1], options[0], each, call)
    for function in module.nodes(ast.FunctionDef):
        if not function.decorator_list or function in module.shared("generating", _generating):
            continue
        every = [(each, transform_of(module, each)) for each in function.decorator_list]
        rest = [options for _, options in every if options is None or options[0] not in GRADIENTS]
        if len(rest) == len(every) - 1 and all(each is not None and each[0] in JITTED for each in rest):
            for decorator, options in every:
                if options is not None and options[0] in GRADIENTS:
                    yield from _judged(module, options[1], options[0], function, decorator)


def _generating(module: Module) -> set[Function | None]:
    return {module.function(each) for each in module.nodes(ast.Yield, ast.YieldFrom)}


def _functions(module: Module, node: ast.expr) -> Iterator[Function]:
    """Yields the function of this file that is differentiated, through `partial` and `jit`."""
    for _ in range(DEPTH):
        found = module.definition(node)
        if isinstance(found, FUNCTIONS):
            if is_plain(module, found) and (not isinstance(node, ast.Name) or _is_only(module, node)):
                yield found
            return
        node = certain(module, node)
        if isinstance(node, ast.Call) and node.args and module.dotted(node.func) in (*PARTIAL, *JITTED):
            node = node.args[0]
        elif not isinstance(node, ast.Lambda):
            return


def _is_only(module: Module, name: ast.Name) -> bool:
    """Returns whether a name is one function whatever branch is taken."""
    binding = module.binding(name)
    every = module.bindings(name)
    if len(every) == 1:
        return True
    block = None if binding is None else module.parents.get(module.statement(binding.node))
    return binding is not None and any(each is block for each in module.around(name))


def _judged(module: Module, options: ast.Call | None, name: str, function: Function, at: ast.AST) -> Iterator[Found]:
    place = GRADIENTS[name]
    given = None if options is None else argument(options, place, "has_aux")
    if options is not None and has_stars(options):
        return
    if given is not None and not isinstance(given, ast.Constant):
        return
    has_aux = isinstance(given, ast.Constant) and bool(given.value)
    kinds = [_kind(module, each) for each in returned(module, function)]
    if not kinds or None in kinds:
        return
    short = name.rpartition(".")[2]
    what = "the function" if isinstance(function, ast.Lambda) else function.name
    if not has_aux and all(isinstance(each, int) and each > 0 for each in kinds):
        message = f"{what} returns a tuple, which {short} cannot differentiate. Pass has_aux=True."
        yield Found(at, message, _added(module, options, given))
    elif has_aux and all(each == 0 for each in kinds):
        message = (
            f"{what} returns no pair, which {short} with has_aux=True expects. Remove has_aux, or return (loss, aux)."
        )
        yield Found(at, message, _removed(module, options, given))
    elif has_aux and all(isinstance(each, int) and each not in (0, 2) for each in kinds):
        message = (
            f"{what} returns {kinds[0]} values, and {short} with has_aux=True expects two: the loss, and all else."
        )
        yield Found(at, message)


def _kind(module: Module, node: ast.expr | None, depth: int = 0) -> int | None:
    """Returns how long a tuple an expression is, 0 where it is surely none, None where that is not known."""
    if node is None or depth > DEPTH:
        return None
    node = certain(module, node)
    if isinstance(node, ast.Tuple):
        return None if any(isinstance(each, ast.Starred) for each in node.elts) else len(node.elts) or None
    if isinstance(node, ast.IfExp):
        one, other = (_kind(module, each, depth + 1) for each in (node.body, node.orelse))
        return one if one == other else None
    if isinstance(node, ast.BinOp | ast.UnaryOp):
        sides = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.operand]
        return None if any(isinstance(certain(module, each), ast.Tuple | ast.List) for each in sides) else 0
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return 0
    if isinstance(node, ast.Call):
        name = module.dotted(node.func) or ""
        short = name.rpartition(".")[2]
        if name.startswith(("jax.numpy.", "optax.")) and short in (
            *SCALAR,
            "square",
            "where",
            "vdot",
            "abs",
            "l2_loss",
        ):
            return 0
        if isinstance(node.func, ast.Attribute) and not name and node.func.attr in SCALAR:
            return 0
        function = module.definition(node.func) if isinstance(node.func, ast.Name) else None
        if isinstance(function, FUNCTIONS) and is_plain(module, function):
            every = {_kind(module, each, depth + 1) for each in returned(module, function)}
            return every.pop() if len(every) == 1 else None
    return None


def _added(module: Module, options: ast.Call | None, given: ast.expr | None) -> Fix | None:
    if options is None:
        return None
    title = "Add has_aux=True"
    if given is not None:
        return Fix(title, (module.replaced(given, "True"),), safe=False)
    return Fix(title, (added_argument(module, options, "has_aux=True"),), safe=False)


def _removed(module: Module, options: ast.Call | None, given: ast.expr | None) -> Fix | None:
    return (
        None
        if options is None or given is None
        else Fix("Set has_aux=False", (module.replaced(given, "False"),), safe=False)
    )
