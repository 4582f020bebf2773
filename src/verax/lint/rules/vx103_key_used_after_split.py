"""VX103: the parent of a split is used again."""

from __future__ import annotations

from collections.abc import Iterator

from verax.lint._key_fixes import unused_child
from verax.lint._keys import key_mistakes, line_of
from verax.lint._module import Module
from verax.lint._rule import Found, rule


@rule("VX103", "key-used-after-split", "error")
def key_used_after_split(module: Module) -> Iterator[Found]:
    """A key that is drawn from, split or handed on after it was split.

    `split` makes new keys from the old one and leaves it as it is. Its draws are related to those of the new keys, and
    a second `split` gives the same keys again. Often the old name was written where a new one was meant.

    Bad:

        weight_key, bias_key = random.split(key)
        weights = random.normal(key, (3, 3))

    Good:

        weight_key, bias_key = random.split(key)
        weights = random.normal(weight_key, (3, 3))

    The fix is unsafe, as it changes the numbers: where exactly one of the new keys is never used, it is put in the
    place of the old one. What is not seen: two calls of which neither is known to draw.
    """
    for each in key_mistakes(module, "VX103"):
        assert each.first is not None
        child, fix = unused_child(module, each)
        advice = f"did you mean `{child}`, which is not used?" if child else "use one of the new keys."
        message = f"`{each.name}` was already split in line {line_of(each.first.node)}; {advice}"
        yield Found(each.node, message, fix, each.level)
