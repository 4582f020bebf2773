"""VX516: weight decay also pulls at biases and norms."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._edits import added_argument
from verax.lint._module import Module, argument, has_stars
from verax.lint._optimizers import GROUPS
from verax.lint._reaching import certain, spelled
from verax.lint._report import Fix
from verax.lint._rule import Found, rule

# With the place of `weight_decay`, and whether there is decay where it is not given.
DECAYING = {
    "optax.adamw": (None, True), "optax.nadamw": (None, True), "optax.adamaxw": (None, True),
    "optax.lion": (None, True), "optax.lamb": (None, False), "optax.add_decayed_weights": (0, False),
}  # fmt: skip
LIBRARIES = ("flax.linen.", "flax.nnx.", "equinox.nn.", "haiku.")
NORMS = {"LayerNorm", "BatchNorm", "GroupNorm", "RMSNorm", "InstanceNorm"}
WITH_BIAS = {"Dense", "Linear", "Conv", "Conv2D", "Conv2d", "DenseGeneral", "ConvTranspose", "MLP"}


@rule("VX516", "weight-decay-on-everything", "note", opt_in=True)
def weight_decay_on_everything(module: Module) -> Iterator[Found]:
    """Weight decay without a mask, in a file whose model has norms or biases.

    Decay pulls each parameter towards zero. For the scale of a norm that means towards a layer that puts out nothing,
    and for biases it has no benefit; published recipes leave both out.

    Bad:

        optimizer = optax.adamw(1e-3, weight_decay=0.1)

    Good:

        optimizer = optax.adamw(
            1e-3, weight_decay=0.1, mask=lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params)
        )

    The rule is asked for, as small models do well without. The fix adds that mask; it is not safe, as training changes.
    `mask=None` says that it is meant. What is not seen: models that other files define.
    """
    calls = [each for each in module.nodes(ast.Call) if module.dotted(each.func) in DECAYING]
    if not calls or not _has_exempt(module):
        return
    for call in calls:
        name = module.dotted(call.func) or ""
        place, by_default = DECAYING[name]
        if has_stars(call) or argument(call, 1 if place == 0 else None, "mask") is not None:
            continue
        given = argument(call, place, "weight_decay")
        given = None if given is None else certain(module, given)
        is_none = isinstance(given, ast.Constant) and not given.value
        if is_none or (given is None and not by_default) or _is_grouped(module, call):
            continue
        message = f"{name} decays norms and biases too. Pass a mask that takes leaves of two or more axes."
        jax = spelled(module, "jax", call)
        mask = f"mask=lambda params: {jax}.tree.map(lambda leaf: leaf.ndim > 1, params)"
        fix = (
            None
            if jax is None
            else Fix("Leave out norms and biases", (added_argument(module, call, mask),), safe=False)
        )
        yield Found(call, message, fix)


def _has_exempt(module: Module) -> bool:
    """Returns whether the file makes layers with a norm or a bias."""
    for call in module.nodes(ast.Call):
        name = module.dotted(call.func) or ""
        short = name.rpartition(".")[2]
        if not name.startswith(LIBRARIES):
            continue
        if short in NORMS:
            return True
        biases = [each.value for each in call.keywords if each.arg in ("use_bias", "with_bias")]
        if short in WITH_BIAS and not biases:
            return True
    return False


def _is_grouped(module: Module, call: ast.Call) -> bool:
    """Returns whether a transform is part of a mask or of groups of parameters, which then say where it acts."""
    return any(
        isinstance(each, ast.Dict)
        or (isinstance(each, ast.Call) and module.dotted(each.func) in (*GROUPS, "optax.masked"))
        for each in module.around(call)
    )
