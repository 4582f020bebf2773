"""VX601: the logarithm of a softmax underflows."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._reaching import callee, certain, is_test
from verax.lint._report import Fix
from verax.lint._rule import Found, rule
from verax.lint.rules.vx507_softmax_before_cross_entropy import SAME_VALUES, SIGMOID, SOFTMAX

LOG = ("jax.numpy.log", "jax.numpy.log2", "jax.numpy.log10", "jax.lax.log")
PICKING = ("jax.numpy.take_along_axis", "jax.numpy.take", "jax.numpy.squeeze")


@rule("VX601", "log-of-softmax", "warning")
def log_of_softmax(module: Module) -> Iterator[Found]:
    """`log(softmax(x))` or `log(sigmoid(x))`, in one expression or through a name.

    In float32 a probability below 1e-38 is zero, so its logarithm is -inf and the gradient NaN; `log_softmax` computes
    the same from the logits without that.

    Bad:

        log_probabilities = jnp.log(jax.nn.softmax(logits))

    Good:

        log_probabilities = jax.nn.log_softmax(logits)

    The fix is safe where both stand in one expression. The logarithm of a mean of probabilities is another thing, and
    fine. What is not seen: probabilities that another function returns.
    """
    for call in module.nodes(ast.Call):
        if len(call.args) != 1 or call.keywords:
            continue
        name = module.dotted(call.func)
        is_log1p = name in ("jax.numpy.log1p", "jax.lax.log1p")
        if name not in LOG and not is_log1p:
            continue
        given = certain(module, call.args[0])
        rest = _rest(module, given, is_log1p)
        if is_log1p and rest is None:
            continue
        inner = _source(module, given if rest is None else rest)
        made = None if inner is None else callee(module, inner)
        if is_test(module, call):
            continue  # that compares with the formula as it is written
        if inner is None or made is None or all(isinstance(each, ast.Constant) for each in inner.args):
            continue
        if made in SIGMOID:
            use = "log_sigmoid(-x)" if rest is not None else "log_sigmoid"
        elif made in SOFTMAX and rest is None:
            use = "log_softmax"
        else:
            continue
        kind = made.rpartition(".")[2]
        fix = _fix(module, call, inner, use) if name in (LOG[0], LOG[3]) and rest is None else None
        yield Found(call, f"the log of {kind} is -inf where a probability rounds to zero. Use jax.nn.{use}.", fix)


def _rest(module: Module, node: ast.expr, is_log1p: bool) -> ast.expr | None:
    """Returns `p` of `1 - p`, or of `-p` in `log1p(-p)`."""
    if is_log1p:
        return node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and isinstance(node.left, ast.Constant):
        return node.right if node.left.value == 1 else None
    return None


def _source(module: Module, node: ast.expr) -> ast.Call | None:
    """Returns the call whose values an expression has, or picks from."""
    for _ in range(8):
        node = certain(module, node)
        if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Constant):
            node = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SAME_VALUES:
            node = node.func.value
        elif isinstance(node, ast.Call) and module.dotted(node.func) in PICKING and node.args:
            node = node.args[0]
        else:
            return node if isinstance(node, ast.Call) else None
    return None


def _fix(module: Module, call: ast.Call, inner: ast.Call, use: str) -> Fix | None:
    if call.args[0] is not inner or not isinstance(inner.func, ast.Attribute):
        return None
    if inner.func.attr not in ("softmax", "sigmoid") or not inner.args:
        return None
    base = module.dotted(inner.func.value)
    if base not in ("jax.nn", "flax.linen", "flax.nnx"):
        return None
    start, end = module.span(inner.func)[1], module.span(inner)[1]
    new = f"{module.source(inner.func.value)}.{use}{module.text[start:end]}"
    return Fix(f"Use {use}", (module.replaced(call, new),), safe=True)
