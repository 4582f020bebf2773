"""VX607: a calibration error that leaves out the surest predictions."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._reaching import certain, is_same, loads, target_bindings, words
from verax.lint._rule import Found, rule
from verax.lint._scopes import FUNCTIONS

CONFIDENCE = {
    "conf", "confs", "confidence", "confidences", "prob", "probs", "probability", "probabilities", "score", "scores",
    "predicted", "pred", "preds",
}  # fmt: skip
TOPIC = {"calibration", "ece", "reliability", "mce"}
LINSPACE = ("jax.numpy.linspace", "numpy.linspace")
DIGITIZE = ("jax.numpy.digitize", "numpy.digitize")
AND = ("jax.numpy.logical_and", "numpy.logical_and")


@rule("VX607", "open-last-calibration-bin", "warning")
def open_last_calibration_bin(module: Module) -> Iterator[Found]:
    """Confidences are put into bins by `(confidence >= low) & (confidence < high)`, edges from 0 to 1.

    `digitize(confidence, edges) - 1` that is compared with each of `range(bins)` does the same.

    The last bin is open at 1, so a prediction of confidence 1 is in none. In float32 a softmax rounds to 1 often, and
    these are the predictions whose calibration matters most.

    Bad:

        inside = (confidence >= low) & (confidence < high)

    Good:

        inside = (confidence > low) & (confidence <= high)

    There is no fix, as a bin may be closed in other ways: a last edge above 1, or a case of its own for it; code that
    has one is not reported. What is not seen: edges that come as an argument, and the places of `digitize` that are
    used in other ways than by `==`, as they may be cut to the last bin there.
    """
    for confidence, low, high, node in _intervals(module):
        if not _is_confidence(module, confidence, node) or _is_bounded(module, certain(module, confidence)):
            continue
        edges = _edges(module, low, high)
        if edges is None or not _is_unit(module, edges) or _is_closed(module, node, confidence):
            continue
        text = module.source(confidence)
        message = f"{text} of exactly 1 is in no bin, as the last one is open. "
        yield Found(node, message + f"Bin by ({text} > low) & ({text} <= high).")
    for confidence, edges, node in _digitized(module):
        if not _is_confidence(module, confidence, node) or _is_bounded(module, certain(module, confidence)):
            continue
        if not _is_unit(module, edges) or _is_closed(module, node, confidence):
            continue
        message = f"{module.source(confidence)} of exactly 1 is in no bin, as its place is behind the last one. "
        yield Found(node, message + "Pass right=True.")


def _digitized(module: Module) -> Iterator[tuple[ast.expr, ast.expr, ast.Call]]:
    """Yields what `digitize` puts between edges, the edges and the call, where only the bins between them are taken."""
    for node in module.nodes(ast.Call):
        if module.dotted(node.func) not in DIGITIZE or len(node.args) != 2 or node.keywords:
            continue
        value = module.parents[node]
        first = 1
        if isinstance(value, ast.BinOp) and value.left is node and ast.unparse(value).endswith(" - 1"):
            value, first = module.parents[value], 0
        edges = certain(module, node.args[1])
        if not isinstance(value, ast.Assign) or len(value.targets) != 1 or not isinstance(edges, ast.Call):
            continue
        binding = target_bindings(module, value, value.targets[0])
        if binding is None or len(module.scopes[value].bindings[binding.name]) != 1:
            continue
        counts = edges.args[2:3]  # of edges, which are one more than bins
        read = [each for each in loads(module).get(binding.name, ()) if binding in module.bindings(each)]
        taken = [_bins_taken(module, each, first) for each in read]
        if taken and all(each is not None and counts and ast.unparse(counts[0]) == f"{each} + 1" for each in taken):
            yield node.args[0], node.args[1], node


def _bins_taken(module: Module, name: ast.Name, first: int) -> str | None:
    """Returns how many bins a loop takes by `place == bin`, from the first one on; None where it is not known."""
    compared = module.parents[name]
    if not isinstance(compared, ast.Compare) or len(compared.ops) != 1 or not isinstance(compared.ops[0], ast.Eq):
        return None
    other = compared.comparators[0] if compared.left is name else compared.left
    binding = module.binding(other) if isinstance(other, ast.Name) else None
    if binding is None or binding.kind != "loop" or not isinstance(binding.node, ast.For | ast.comprehension):
        return None
    items = binding.node.iter
    if module.called(items) != "builtins.range" or not isinstance(items, ast.Call) or items.keywords:
        return None
    if first == 0:
        return ast.unparse(items.args[0]) if len(items.args) == 1 else None
    text = ast.unparse(items.args[1]) if len(items.args) == 2 and ast.unparse(items.args[0]) == "1" else ""
    return text.removesuffix(" + 1") if text.endswith(" + 1") else None


def _intervals(module: Module) -> Iterator[tuple[ast.expr, ast.expr, ast.expr, ast.expr]]:
    """Yields what is in a half-open interval, its two ends, and the expression that says so."""
    for node in module.nodes(ast.BinOp):
        if isinstance(node.op, ast.BitAnd):
            yield from _pair(node.left, node.right, node)
    for node in module.nodes(ast.BoolOp):
        if isinstance(node.op, ast.And) and len(node.values) == 2:
            yield from _pair(node.values[0], node.values[1], node)
    for node in module.nodes(ast.Call):
        if len(node.args) == 2 and module.dotted(node.func) in AND:
            yield from _pair(node.args[0], node.args[1], node)
    for node in module.nodes(ast.Compare):
        if len(node.ops) == 2 and isinstance(node.ops[0], ast.LtE) and isinstance(node.ops[1], ast.Lt):
            yield node.comparators[0], node.left, node.comparators[1], node


def _pair(one: ast.expr, other: ast.expr, node: ast.expr) -> Iterator[tuple[ast.expr, ast.expr, ast.expr, ast.expr]]:
    low, high = _end(one, ast.GtE, ast.LtE), _end(other, ast.Lt, ast.Gt)
    if low is None or high is None:
        low, high = _end(other, ast.GtE, ast.LtE), _end(one, ast.Lt, ast.Gt)
    if low is not None and high is not None and is_same(low[0], high[0]):
        yield low[0], low[1], high[1], node


def _end(node: ast.expr, right: type[ast.cmpop], turned: type[ast.cmpop]) -> tuple[ast.expr, ast.expr] | None:
    """Returns what is compared, and with what, of `x >= low` or `low <= x`."""
    if not isinstance(node, ast.Compare) or len(node.ops) != 1:
        return None
    if isinstance(node.ops[0], right):
        return node.left, node.comparators[0]
    return (node.comparators[0], node.left) if isinstance(node.ops[0], turned) else None


def _is_confidence(module: Module, node: ast.expr, at: ast.AST) -> bool:
    while isinstance(node, ast.Subscript):
        node = node.value
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    if CONFIDENCE & set(words(name)):
        return True
    around = [each.name for each in module.functions(at) if not isinstance(each, ast.Lambda)]
    return bool(name) and any(TOPIC & set(words(each)) for each in around)


def _is_bounded(module: Module, node: ast.expr) -> bool:
    """Returns whether confidences are kept below 1 before."""
    if not isinstance(node, ast.Call):
        return False
    short = (module.dotted(node.func) or "").rpartition(".")[2]
    return short in ("clip", "minimum")


def _edges(module: Module, low: ast.expr, high: ast.expr) -> ast.expr | None:
    """Returns the edges of which two ends are neighbours."""
    if isinstance(low, ast.Subscript) and isinstance(high, ast.Subscript) and is_same(low.value, high.value):
        fits = isinstance(high.slice, ast.BinOp) and isinstance(high.slice.op, ast.Add)
        if fits and isinstance(high.slice, ast.BinOp) and is_same(high.slice.left, low.slice):
            return low.value
        return low.value if _is_cut(low, None, -1) and _is_cut(high, 1, None) else None
    one, other = certain(module, low), certain(module, high)
    if one is not low or other is not high:
        return _edges(module, one, other) if isinstance(one, ast.Subscript) else None
    if not isinstance(low, ast.Name) or not isinstance(high, ast.Name):
        return None
    binding, second = module.binding(low), module.binding(high)
    if binding is None or second is None or binding.kind != "loop" or binding.node is not second.node:
        return None
    if isinstance(binding.node, ast.For | ast.AsyncFor | ast.comprehension):
        target, iterable = binding.node.target, binding.node.iter
        if isinstance(iterable, ast.Call) and module.dotted(iterable.func) == "builtins.enumerate" and iterable.args:
            iterable = iterable.args[0]
            target = target.elts[1] if isinstance(target, ast.Tuple) and len(target.elts) == 2 else target
        names = target.elts if isinstance(target, ast.Tuple) else []
        if [each.id if isinstance(each, ast.Name) else "" for each in names] == [low.id, high.id]:
            return _neighbours(module, iterable)
    return None


def _neighbours(module: Module, node: ast.expr) -> ast.expr | None:
    """Returns the edges of which `zip(edges[:-1], edges[1:])` and the like give neighbours."""
    name = module.called(node)
    if not isinstance(node, ast.Call) or not node.args:
        return None
    if name == "itertools.pairwise":
        return node.args[0]
    if name != "builtins.zip" or len(node.args) != 2:
        return None
    one, other = (certain(module, each) for each in node.args)
    if not isinstance(other, ast.Subscript) or not _is_cut(other, 1, None):
        return None
    if isinstance(one, ast.Subscript):
        return one.value if is_same(one.value, other.value) and _is_cut(one, None, -1) else None
    return other.value if is_same(node.args[0], other.value) else None


def _is_cut(node: ast.Subscript, lower: int | None, upper: int | None) -> bool:
    """Returns whether a subscript is `[lower:upper]`."""
    part = node.slice
    if not isinstance(part, ast.Slice) or part.step is not None:
        return False
    found = [None if each is None else ast.unparse(each) for each in (part.lower, part.upper)]
    return found == [None if each is None else str(each) for each in (lower, upper)]


def _is_unit(module: Module, node: ast.expr) -> bool:
    """Returns whether edges are `linspace(0, 1, ...)`, and are not changed."""
    if isinstance(node, ast.Name) and len(module.bindings(node)) != 1:
        return False
    value = certain(module, node)
    if not isinstance(value, ast.Call) or module.dotted(value.func) not in LINSPACE or len(value.args) < 2:
        return False
    return [each.value if isinstance(each, ast.Constant) else None for each in value.args[:2]] == [0, 1]


def _is_closed(module: Module, node: ast.expr, confidence: ast.expr) -> bool:
    """Returns whether a function closes the last bin: by a comparison, a branch, or another edge."""
    function = next((each for each in module.functions(node) if isinstance(each, FUNCTIONS)), None)
    own = set(ast.walk(node))
    for each in ast.walk(function if function is not None else module.statement(node)):
        if isinstance(each, ast.Compare) and each not in own and _closes(each, confidence):
            return True
        if isinstance(each, ast.Subscript) and isinstance(each.ctx, ast.Store) and ast.unparse(each.slice) == "-1":
            return True
    return any(isinstance(each, ast.IfExp | ast.If) for each in module.around(node))


def _closes(node: ast.Compare, confidence: ast.expr) -> bool:
    """Returns whether a comparison holds for a confidence of 1: `confidence <= high`, `confidence == 1`."""
    sides = [node.left, *node.comparators]
    return any(
        (isinstance(operator, ast.LtE | ast.Eq) and is_same(sides[place], confidence))
        or (isinstance(operator, ast.GtE | ast.Eq) and is_same(sides[place + 1], confidence))
        for place, operator in enumerate(node.ops)
    )
