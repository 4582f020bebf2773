"""VX603: a logarithm of a sum of exponentials overflows."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module, argument
from verax.lint._reaching import certain, is_test, spelled
from verax.lint._report import Fix
from verax.lint._rule import Found, rule
from verax.lint._scopes import Binding

LOG = ("jax.numpy.log", "jax.lax.log")
EXP = ("jax.numpy.exp", "jax.lax.exp")
BOUNDED = {
    "log_softmax", "log_sigmoid", "tanh", "clip", "minimum", "sigmoid", "cos", "sin", "softmax", "arctan", "where",
    "hard_tanh", "soft_sign", "erf",
}  # fmt: skip


@rule("VX603", "naive-logsumexp", "warning")
def naive_logsumexp(module: Module) -> Iterator[Found]:
    """`log(sum(exp(x)))` or `log(exp(x) + exp(y))`, in one expression or through names.

    In float32 `exp(89)` is infinite, and so is the result; where all are below -104 it is -inf. `logsumexp` takes the
    maximum out first.

    Bad:

        jnp.log(jnp.sum(jnp.exp(x), axis=-1))

    Good:

        jax.nn.logsumexp(x, axis=-1)

    The fix is safe, and offered where all stands in one expression. An argument from which something is subtracted
    (its maximum), or that is bounded, is fine. What is not seen: sums weighted by a factor.
    """
    for call in module.nodes(ast.Call):
        if len(call.args) != 1 or call.keywords or module.dotted(call.func) not in LOG:
            continue
        if is_test(module, call):
            continue  # that compares with the formula as it is written
        total = certain(module, call.args[0])
        if isinstance(total, ast.BinOp) and isinstance(total.op, ast.Add):
            if all(_grows(module, each) for each in (total.left, total.right)):
                yield Found(call, "the log of a sum of exponentials overflows. Use jax.numpy.logaddexp.")
            continue
        found = _summed(module, total)
        if found is None:
            continue
        kind, summed, options = found
        inner = certain(module, summed)
        if not isinstance(inner, ast.Call) or not _grows(module, inner):
            continue
        inline = total is call.args[0] and inner is summed and kind == "sum"
        use = "jax.nn.logsumexp" + (" and subtract the log of the count" if kind == "mean" else "")
        message = f"the log of a {kind} of exponentials overflows. Use {use}."
        yield Found(call, message, _fix(module, call, inner, options) if inline else None)


def _summed(module: Module, node: ast.expr) -> tuple[str, ast.expr, list[tuple[str, ast.expr]] | None] | None:
    """Returns what an expression sums, and with which options; these are None where they are not all known."""
    if not isinstance(node, ast.Call):
        return None
    name = module.dotted(node.func)
    if name in ("jax.numpy.sum", "jax.numpy.mean"):
        kind, summed, rest = name.rpartition(".")[2], argument(node, 0, "a"), node.args[1:]
    elif name is None and isinstance(node.func, ast.Attribute) and node.func.attr in ("sum", "mean"):
        kind, summed, rest = node.func.attr, node.func.value, node.args
    else:
        return None
    if summed is None or any(each.arg == "where" for each in node.keywords):
        return None
    options: list[tuple[str, ast.expr]] | None = []
    if len(rest) == 1 and not isinstance(rest[0], ast.Starred):
        options.append(("axis", rest[0]))
    elif rest:
        return kind, summed, None
    for each in node.keywords:
        if each.arg in ("axis", "keepdims"):
            options.append((each.arg, each.value))
        elif each.arg != "a":
            return kind, summed, None
    return kind, summed, options


def _grows(module: Module, node: ast.expr) -> bool:
    """Returns whether an expression is the exponential of what may be large."""
    node = certain(module, node)
    if not isinstance(node, ast.Call) or module.dotted(node.func) not in EXP or len(node.args) != 1:
        return False
    return not _is_bounded(module, node.args[0])


def _is_bounded(module: Module, node: ast.expr, depth: int = 0) -> bool:
    """Returns whether an exponent cannot be large: shifted, negative, or the result of a bounded function."""
    node = certain(module, node)
    if depth > 8:
        return True
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
        return True
    if isinstance(node, ast.BinOp):
        sides = [each for each in (node.left, node.right) if not isinstance(each, ast.Constant)]
        every = [_is_bounded(module, each, depth + 1) for each in sides]
        return all(every) if isinstance(node.op, ast.Add) else any(every)
    if isinstance(node, ast.UnaryOp):
        return True
    if isinstance(node, ast.Name):
        return any(_is_shift(each) for each in module.bindings(node))
    if isinstance(node, ast.Call):
        short = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        short = (module.dotted(node.func) or short).rpartition(".")[2]
        if short in BOUNDED:
            return True
        return short in ("astype", "reshape") and isinstance(node.func, ast.Attribute) and (
            _is_bounded(module, node.func.value, depth + 1)
        )  # fmt: skip
    return isinstance(node, ast.Constant)


def _is_shift(binding: Binding) -> bool:
    """Returns whether a binding subtracts: `x -= x.max()`, or `x = x - x.max()` on one of the ways."""
    if isinstance(binding.node, ast.AugAssign):
        return isinstance(binding.node.op, ast.Sub)
    return isinstance(binding.value, ast.BinOp) and isinstance(binding.value.op, ast.Sub)


def _fix(module: Module, call: ast.Call, inner: ast.Call, options: list[tuple[str, ast.expr]] | None) -> Fix | None:
    nn = spelled(module, "jax.nn", call)
    if nn is None or options is None:
        return None
    given = [module.source(inner.args[0]), *(f"{name}={module.source(value)}" for name, value in options)]
    return Fix("Use logsumexp", (module.replaced(call, f"{nn}.logsumexp({', '.join(given)})"),), safe=True)
