"""VX108: `fold_in` with data that does not change."""

from __future__ import annotations

from collections.abc import Iterator

from verax.lint._keys import key_mistakes, line_of
from verax.lint._module import Module
from verax.lint._rule import Found, rule


@rule("VX108", "fold-in-without-variation", "warning")
def fold_in_without_variation(module: Module) -> Iterator[Found]:
    """`fold_in` of the same data into the same key, again.

    The key that `fold_in` makes depends on its two arguments alone: the same ones give the same key, in every pass of a
    loop and at every place.

    Bad:

        for inputs in batches:
            noise = random.normal(random.fold_in(key, 1), inputs.shape)

    Good:

        for step, inputs in enumerate(batches):
            noise = random.normal(random.fold_in(key, step), inputs.shape)

    Reported are a loop, of Python or of JAX, that binds no name of the data and does not refresh the key, and the same
    constant twice on one way. There is no fix: what should vary is not known.
    """
    for each in key_mistakes(module, "VX108"):
        assert each.first is not None
        if each.first.node is each.node:
            message = "fold_in gets the same key and data in every pass of the loop; fold in what changes with it."
        else:
            line = line_of(each.first.node)
            message = f"fold_in gave the same key in line {line} already; fold in another number at each place."
        yield Found(each.node, message)
