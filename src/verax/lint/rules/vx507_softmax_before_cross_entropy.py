"""VX507: probabilities where a loss wants logits."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._model_applies import applied, is_apply
from verax.lint._module import Module, argument
from verax.lint._reaching import attribute_values, callee, certain, is_plain, returned
from verax.lint._report import Fix
from verax.lint._rule import Found, rule
from verax.lint._scopes import FUNCTIONS

SOFTMAX = {"jax.nn.softmax", "flax.linen.softmax", "flax.nnx.softmax", "jax.scipy.special.softmax"}
SIGMOID = {
    "jax.nn.sigmoid", "flax.linen.sigmoid", "flax.nnx.sigmoid", "jax.scipy.special.expit", "jax.lax.logistic",
}  # fmt: skip
CROSS_ENTROPY = {
    "optax.softmax_cross_entropy", "optax.softmax_cross_entropy_with_integer_labels",
    "optax.safe_softmax_cross_entropy", "optax.poly_loss_cross_entropy",
}  # fmt: skip
BINARY = {"optax.sigmoid_binary_cross_entropy", "optax.sigmoid_focal_loss"}
SOFTMAXES = {*SOFTMAX, "jax.nn.log_softmax", "flax.linen.log_softmax", "flax.nnx.log_softmax"}
SEQUENCES = ("flax.linen.Sequential", "flax.nnx.Sequential", "haiku.Sequential")
SAME_VALUES = ("astype", "reshape", "squeeze", "ravel", "flatten")


@rule("VX507", "softmax-before-cross-entropy", "error")
def softmax_before_cross_entropy(module: Module) -> Iterator[Found]:
    """A loss that takes logits is given the result of a softmax or sigmoid; or a softmax that of another.

    The loss applies the softmax itself. Of probabilities it can get no further than a confidence of
    e / (e + classes - 1), its gradient is small, and training is slow and wrong without an error.

    Bad:

        loss = optax.softmax_cross_entropy(nn.softmax(logits), labels)

    Good:

        loss = optax.softmax_cross_entropy(logits, labels)

    The fix takes the softmax away where it stands in the call, or the model's name for it is known; probabilities that
    are used elsewhere too have a name, and no fix. Soft targets are labels, not logits, and fine.
    """
    for call in module.nodes(ast.Call):
        if not call.args and not call.keywords:
            continue
        name = callee(module, call)
        if name in CROSS_ENTROPY:
            wrong = SOFTMAX | SIGMOID
        elif name in BINARY:
            wrong = SIGMOID | SOFTMAX
        elif name in SOFTMAXES:
            wrong = SOFTMAX
        else:
            continue
        given = argument(call, 0, "x" if name in SOFTMAXES else "logits")
        if given is None:
            continue
        inner = _source(module, given)
        made = None if inner is None else callee(module, inner)
        if made not in wrong:
            continue
        assert inner is not None and made is not None and name is not None
        short, kind = name.rpartition(".")[2], made.rpartition(".")[2]
        what = module.source(given) if isinstance(given, ast.Name) else "its first argument"
        message = f"{short} applies its own softmax or sigmoid, and {what} is already the result of {kind}. "
        yield Found(call, message + "Give it the logits.", _fix(module, given, inner))


def _source(module: Module, node: ast.expr, depth: int = 0) -> ast.Call | None:
    """Returns the call whose values an expression has, through names, casts, reshapes and functions of the file."""
    node = certain(module, node)
    if not isinstance(node, ast.Call) or depth > 6:
        return None
    if isinstance(node.func, ast.Attribute) and node.func.attr in SAME_VALUES and module.dotted(node.func) is None:
        return _source(module, node.func.value, depth + 1)
    if callee(module, node) in ("jax.numpy.asarray", "jax.numpy.squeeze", "jax.numpy.reshape") and node.args:
        return _source(module, node.args[0], depth + 1)
    last = _last_of_sequence(module, node.func)
    if last is not None:
        return ast.Call(func=last, args=node.args, keywords=[])
    function = None
    if is_apply(module, node) and argument(node, None, "mutable", "method") is None:
        one = applied(module, node)
        if one is not None and isinstance(one.kind, ast.ClassDef):
            function = module.method(one.kind, "__call__")
    elif isinstance(node.func, ast.Name):
        function = module.definition(node.func)
    if isinstance(function, ast.FunctionDef | ast.Lambda):
        is_model = isinstance(function, ast.FunctionDef) and function.name == "__call__"
        every = returned(module, function)
        if len(every) == 1 and every[0] is not None and (is_model or is_plain(module, function)):
            return _source(module, every[0], depth + 1)
        return None
    return None if isinstance(function, FUNCTIONS) else node


def _last_of_sequence(module: Module, node: ast.expr) -> ast.expr | None:
    """Returns the last layer of a `Sequential` that an expression is: made there, by a name or in `setup`."""
    node = certain(module, node)
    if isinstance(node, ast.Attribute):
        values = attribute_values(module, node)
        node = values[0] if len(values) == 1 else node
    if not isinstance(node, ast.Call) or module.dotted(node.func) not in SEQUENCES or len(node.args) != 1:
        return None
    layers = certain(module, node.args[0])
    if not isinstance(layers, ast.List | ast.Tuple) or not layers.elts:
        return None
    return layers.elts[-1] if isinstance(layers.elts[-1], ast.Name | ast.Attribute) else None


def _fix(module: Module, given: ast.expr, inner: ast.Call) -> Fix | None:
    if given is not inner or len(inner.args) < 1 or isinstance(inner.args[0], ast.Starred):
        return None
    if module.dotted(inner.func) is None or isinstance(inner.args[0], ast.GeneratorExp):
        return None
    text = module.source(inner.args[0])
    return Fix(f"Give it {text}", (module.replaced(inner, text),), safe=True)
