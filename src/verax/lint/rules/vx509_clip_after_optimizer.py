"""VX509: gradients clipped when they are no gradients any more."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._optimizers import ADAPTIVE, CLIPS, COMPLETE, optimizer_parts, place_of, sign
from verax.lint._rule import Found, rule
from verax.lint.rules.vx508_misplaced_weight_decay import moved


@rule("VX509", "clip-after-optimizer", "warning")
def clip_after_optimizer(module: Module) -> Iterator[Found]:
    """`clip` or `clip_by_global_norm` behind the optimiser in a chain.

    There it limits the updates, which are already scaled by the learning rate and far below any usual limit, and not
    the gradients: an exploding gradient still goes into the optimiser's moments.

    Bad:

        optax.chain(optax.adam(learning_rate), optax.clip_by_global_norm(1.0))

    Good:

        optax.chain(optax.clip_by_global_norm(1.0), optax.adam(learning_rate))

    The fix moves the clip to the front; it is not safe, as training changes. A chain that clips before the optimiser
    as well clips its updates on purpose, as `clip_by_block_rms` always does.
    """
    for call in module.nodes(ast.Call):
        if module.dotted(call.func) not in ("optax.chain", "optax.named_chain"):
            continue
        parts = optimizer_parts(module, call) or []
        place = next((at for at, each in enumerate(parts) if each.name in ADAPTIVE or each.name in COMPLETE), None)
        if place is None:
            place = next((at for at, each in enumerate(parts) if sign(module, each) < 0), None)
        if place is None or any(each.name in CLIPS for each in parts[:place]):
            continue
        first = parts[place]
        for part in parts[place + 1 :]:
            if part.name in CLIPS and part.argument is not None and part.argument is not first.argument:
                clip, optimizer = (each.name.removeprefix("optax.") for each in (part, first))
                message = (
                    f"{clip} after {optimizer} limits the updates and not the gradients. Put it before {optimizer}."
                )
                yield Found(place_of(module, call, part), message, moved(module, call, part.argument, first.argument))
                break
