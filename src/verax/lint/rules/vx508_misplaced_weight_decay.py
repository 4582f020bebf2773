"""VX508: weight decay at a place of the chain where it is not weight decay."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._edits import added_argument
from verax.lint._module import Module, argument
from verax.lint._optimizers import ADAPTIVE, Part, optimizer_parts, place_of, sign
from verax.lint._reaching import certain
from verax.lint._report import Edit, Fix
from verax.lint._rule import Found, rule

DECAY = "optax.add_decayed_weights"
DECOUPLED = {"optax.adam": "adamw", "optax.nadam": "nadamw", "optax.adamax": "adamaxw"}


@rule("VX508", "misplaced-weight-decay", "warning")
def misplaced_weight_decay(module: Module) -> Iterator[Found]:
    """`add_decayed_weights` before an adaptive scaling, or after the learning rate.

    Before Adam and its like the decay is divided by the gradient's own scale: weights with large gradients decay less,
    which is L2 regularisation through Adam and not AdamW. After the learning rate the sign is wrong: updates are added
    to the parameters, so the weights grow, and by the whole decay rather than its product with the learning rate.

    Bad:

        optax.chain(optax.add_decayed_weights(1e-4), optax.adam(learning_rate))

    Good:

        optax.adamw(learning_rate, weight_decay=1e-4)

    Before `optax.sgd`, and between `scale_by_adam` and the learning rate, decay is where it belongs. The fix moves it
    or takes the decoupled optimiser; it is not safe, as training changes. What is not seen: chains built in a loop.
    """
    for call in module.nodes(ast.Call):
        if module.dotted(call.func) not in ("optax.chain", "optax.named_chain"):
            continue
        parts = optimizer_parts(module, call) or []
        for place, part in enumerate(parts):
            if part.name != DECAY or part.argument is None:
                continue
            before = [each for each in parts[:place] if each.argument is not part.argument]
            after = [each for each in parts[place + 1 :] if each.argument is not part.argument]
            adaptive = next((each for each in after if each.name in ADAPTIVE), None)
            signs = [sign(module, each) for each in parts]
            if adaptive is not None:
                short = adaptive.name.removeprefix("optax.")
                message = f"weight decay before {short} is scaled by it like a gradient. Put it after the scaling"
                message += f": optax.{DECOUPLED[adaptive.name]}." if adaptive.name in DECOUPLED else "."
                yield Found(place_of(module, call, part), message, _decoupled(module, call, part, adaptive))
            elif any(sign(module, each) < 0 for each in before) and all(each == 1 for each in signs[place:]):
                rate = next(each for each in before if sign(module, each) < 0)
                if _is_negative(module, part):
                    continue
                short = rate.name.removeprefix("optax.")
                message = f"weight decay after {short} has the wrong sign and no learning rate. Put it before that."
                fix = (
                    _decoupled(module, call, part, rate) if rate.name in DECOUPLED else _moved(module, call, part, rate)
                )
                yield Found(place_of(module, call, part), message, fix)


def _is_negative(module: Module, part: Part) -> bool:
    """Returns whether the decay is a negative number or anything computed: then its place may be meant."""
    given = None if part.call is None else argument(part.call, 0, "weight_decay")
    given = None if given is None else certain(module, given)
    return isinstance(given, ast.UnaryOp | ast.BinOp)


def _decoupled(module: Module, call: ast.Call, decay: Part, other: Part) -> Fix | None:
    """Returns the fix that takes `adamw` for `adam` and a decay; else the one that moves the decay behind."""
    if other.name not in DECOUPLED:
        return _moved(module, call, decay, other) if other.name.startswith("optax.scale_by_") else None
    made, given = decay.call, None if decay.call is None else argument(decay.call, 0, "weight_decay")
    optimizer = other.call
    if decay.argument is not made or other.argument is not optimizer or optimizer is None or made not in call.args:
        return None
    if not isinstance(optimizer.func, ast.Attribute) or given is None or len(call.args) < 2 or call.keywords:
        return None
    name = DECOUPLED[other.name]
    mask = argument(made, 1, "mask")
    extra = f"weight_decay={module.source(given)}" + ("" if mask is None else f", mask={module.source(mask)}")
    func_end = module.span(optimizer.func)[1]
    edits = [Edit(func_end - len(optimizer.func.attr), func_end, name), added_argument(module, optimizer, extra)]
    place = call.args.index(made)
    if place + 1 < len(call.args):
        edits.append(Edit(module.span(made)[0], module.span(call.args[place + 1])[0], ""))
    else:
        edits.append(Edit(module.span(call.args[place - 1])[1], module.span(made)[1], ""))
    return Fix(f"Use optax.{name}", tuple(sorted(edits)), safe=False)


def _moved(module: Module, call: ast.Call, decay: Part, other: Part) -> Fix | None:
    """Returns the fix that moves an argument of a chain to the place of another, on its other side.

    There is none where that other stands for a chain: on either side of all of it the decay would be misplaced again.
    """
    if other.argument is None or len(optimizer_parts(module, other.argument) or ()) != 1:
        return None
    return moved(module, call, decay.argument, other.argument)


def moved(module: Module, call: ast.Call, one: ast.expr | None, other: ast.expr | None) -> Fix | None:
    """Returns the fix that gives an argument the place of another, which with all between them moves up."""
    if one not in call.args or other not in call.args or isinstance(one, ast.Starred) or isinstance(other, ast.Starred):
        return None
    start, end = call.args.index(one), call.args.index(other)
    order = list(call.args)
    order.insert(end, order.pop(start))
    edits = [
        module.replaced(old, module.source(new)) for old, new in zip(call.args, order, strict=True) if old is not new
    ]  # fmt: skip
    return Fix(f"Move {module.source(call.args[start])}", tuple(edits), safe=False)
