"""VX605: a mean of means of batches, of which the last may be smaller."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._reaching import certain, inner_nodes, is_plain, is_same, loads, returned
from verax.lint._rule import Found, rule
from verax.lint._scopes import FUNCTIONS

MEANS = ("jax.numpy.mean", "numpy.mean", "jax.numpy.average", "numpy.average", "statistics.mean", "statistics.fmean")
HOST = ("builtins.float", "jax.device_get", "numpy.asarray", "jax.numpy.asarray", "jax.numpy.array", "numpy.array",
        "jax.numpy.stack", "numpy.stack")  # fmt: skip
MESSAGE = "this averages the means of batches, and the last batch may be smaller. Add up sums, and divide by the count."
TRAINING = ("apply_gradients", "apply_updates", "update")


@rule("VX605", "mean-of-batch-means", "warning")
def mean_of_batch_means(module: Module) -> Iterator[Found]:
    """Means of batches are averaged, and the batches are slices of which the last may be smaller.

    Its examples then weigh more than the others: with 101 examples in batches of 100 one of them counts for a half.

    Bad:

        for start in range(0, len(inputs), 100):
            losses.append(jnp.mean(loss(inputs[start : start + 100])))
        return jnp.mean(jnp.array(losses))

    Good:

        for start in range(0, len(inputs), 100):
            total += jnp.sum(loss(inputs[start : start + 100]))
        return total / len(inputs)

    There is no fix. Judged are loops over `range(0, count, size)` that slice by the same size, drop nothing and do not
    train. What is not seen: batches that a data loader makes.
    """
    for loop in module.nodes(ast.For):
        size = _size(module, loop.target, loop.iter)
        if (
            size is None
            or _divides(module, loop, size)
            or not _slices(module, loop.target, size, loop.body)
            or _leaves_out(module, loop)
        ):
            continue
        for name in _gathered(module, loop):
            for mean in _averaged(module, loop, name):
                yield Found(mean, MESSAGE)
    for inner in module.nodes(ast.ListComp, ast.GeneratorExp):
        generator = inner.generators[0]
        size = _size(module, generator.target, generator.iter) if len(inner.generators) == 1 else None
        if size is None or generator.ifs or _divides(module, inner, size):
            continue
        if not _slices(module, generator.target, size, [inner.elt]):
            continue
        if _is_mean(module, inner.elt):
            around: ast.AST | None = module.parents.get(inner)
            while isinstance(around, ast.Call) and module.dotted(around.func) in HOST:
                around = module.parents.get(around)
            if isinstance(around, ast.Call) and _is_even(module, around):
                yield Found(around, MESSAGE)


def _size(module: Module, target: ast.expr, iterable: ast.expr) -> ast.expr | None:
    """Returns the step of `range(0, count, step)` where the count need not be a multiple of it."""
    if not isinstance(target, ast.Name) or not isinstance(iterable, ast.Call) or len(iterable.args) != 3:
        return None
    if module.dotted(iterable.func) != "builtins.range":
        return None
    start, stop, step = iterable.args
    if not isinstance(start, ast.Constant) or start.value != 0:
        return None
    count, size = certain(module, stop), certain(module, step)
    if isinstance(count, ast.Constant) and isinstance(size, ast.Constant):
        examples, each = count.value, size.value
        whole = isinstance(examples, int) and isinstance(each, int) and each > 0 and examples % each == 0
        return None if whole else step
    is_length = isinstance(count, ast.Call) and module.dotted(count.func) == "builtins.len"
    is_shape = (
        isinstance(count, ast.Subscript) and isinstance(count.value, ast.Attribute) and count.value.attr == "shape"
    )
    return step if is_length or is_shape else None


def _divides(module: Module, node: ast.AST, size: ast.expr) -> bool:
    """Returns whether a function looks at what is left over by a size: `assert len(inputs) % size == 0`."""
    function = module.function(node)
    inside = ast.walk(function if function is not None else module.tree)
    return any(isinstance(each, ast.BinOp) and isinstance(each.op, ast.Mod) and is_same(each.right, size)
               for each in inside)  # fmt: skip


def _slices(module: Module, target: ast.expr, size: ast.expr, body: list[ast.stmt] | list[ast.expr]) -> bool:
    """Returns whether a body takes `values[start : start + size]`."""
    for each in [node for one in body for node in inner_nodes(one)]:
        if isinstance(each, ast.Slice) and each.lower is not None and isinstance(each.upper, ast.BinOp):
            upper = each.upper
            fits = is_name(each.lower, target) and is_name(upper.left, target) and is_same(upper.right, size)
            if fits and isinstance(upper.op, ast.Add):
                return True
    return False


def is_name(node: ast.expr, other: ast.expr) -> bool:
    """Returns whether two expressions are the same name, be it read or bound."""
    return isinstance(node, ast.Name) and isinstance(other, ast.Name) and node.id == other.id


def _leaves_out(module: Module, loop: ast.For) -> bool:
    """Returns whether a loop may skip a batch, or trains."""
    for each in [node for one in loop.body for node in inner_nodes(one)]:
        if isinstance(each, ast.Break | ast.Continue | ast.If):
            return True
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr in TRAINING:
            return True
    return False


def _gathered(module: Module, loop: ast.For) -> Iterator[str]:
    """Yields names of lists, or of sums, that a loop adds the mean of each batch to."""
    for each in loop.body:
        if isinstance(each, ast.Expr) and isinstance(each.value, ast.Call):
            func, given = each.value.func, each.value.args
            if isinstance(func, ast.Attribute) and func.attr == "append" and isinstance(func.value, ast.Name):
                yield from [func.value.id] if len(given) == 1 and _is_mean(module, given[0]) else []
        elif isinstance(each, ast.AugAssign) and isinstance(each.target, ast.Name):
            yield from [each.target.id] if isinstance(each.op, ast.Add) and _is_mean(module, each.value) else []


def _averaged(module: Module, loop: ast.For, name: str) -> Iterator[ast.expr]:
    """Yields where, behind a loop, what it gathered is divided by the number of batches."""
    function = module.function(loop)
    counts = {
        each.target.id
        for each in loop.body
        if isinstance(each, ast.AugAssign) and isinstance(each.target, ast.Name)
        and isinstance(each.value, ast.Constant) and each.value.value == 1
    }  # fmt: skip
    for each in loads(module).get(name, []):
        if module.function(each) is not function or each.lineno <= (loop.end_lineno or loop.lineno):
            continue
        parent = module.parents.get(each)
        while isinstance(parent, ast.Call) and module.dotted(parent.func) in HOST:
            parent = module.parents.get(parent)
        if isinstance(parent, ast.Call) and _is_even(module, parent):
            yield parent
        elif isinstance(parent, ast.Call) and module.dotted(parent.func) == "builtins.sum":
            over = module.parents.get(parent)
            if isinstance(over, ast.BinOp) and isinstance(over.op, ast.Div) and _is_length(module, over.right, name):
                yield over
        elif isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Div) and parent.left is each:
            over = parent.right
            yield from [parent] if isinstance(over, ast.Name) and over.id in counts else []


def _is_even(module: Module, call: ast.Call) -> bool:
    """Returns whether a call is a mean in which all count alike."""
    is_weighted = any(each.arg in ("weights", None) for each in call.keywords) or len(call.args) > 2
    return module.dotted(call.func) in MEANS and not is_weighted


def _is_length(module: Module, node: ast.expr, name: str) -> bool:
    return (
        isinstance(node, ast.Call)
        and module.dotted(node.func) == "builtins.len"
        and len(node.args) == 1
        and isinstance(node.args[0], ast.Name)
        and node.args[0].id == name
    )


def _is_mean(module: Module, node: ast.expr, depth: int = 0) -> bool:
    """Returns whether an expression is a mean, by itself, by its name, or by a function of the file."""
    node = certain(module, node)
    if not isinstance(node, ast.Call) or depth > 6:
        return False
    name = module.dotted(node.func)
    if name in HOST and len(node.args) == 1:
        return _is_mean(module, node.args[0], depth + 1)
    if name in MEANS:
        return len(node.args) == 1 and not node.keywords
    if name is None and isinstance(node.func, ast.Attribute):
        if node.func.attr == "mean":
            return not node.args and not node.keywords
        return node.func.attr == "item" and _is_mean(module, node.func.value, depth + 1)
    func = certain(module, node.func)
    if isinstance(func, ast.Call) and module.dotted(func.func) == "jax.jit" and func.args:
        func = func.args[0]
    function = module.definition(func)
    if isinstance(function, FUNCTIONS) and is_plain(module, function):
        every = returned(module, function)
        return len(every) == 1 and every[0] is not None and _is_mean(module, every[0], depth + 1)
    return False
