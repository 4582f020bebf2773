"""Errors of the user's own functions while JAX traces them: what was given, their own line, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from verax.findings import InputError, user_frames
from verax.train._error_advice import advice_for
from verax.trees import Tree, leaves_by_path, shape_text

LINES, WIDTH = 6, 200  # of the original message that are kept: a screen holds them
NOT_THEIRS = "The error occurred while tracing the function"  # JAX names the function that it traced: ours, by its file
LEAVES = 4  # shown of a tree


@contextmanager
def explained(what: str, given: dict[str, Tree]) -> Iterator[None]:
    """Turns an error from tracing a user's function into an InputError with the shapes and the user's own line.

    The original error is the new one's cause, with its whole traceback. An InputError passes as it is.

    Args:
      what: the function, as the subject of a sentence: `the network MLP`.
      given: what it was called with, by name.

    Raises:
      InputError: in place of any other error.

    Example:
      >>> with explained("the network", {"inputs": jnp.ones((2, 3))}):
      ...     jnp.ones((2, 3)) @ jnp.ones((4, 5))
      Traceback (most recent call last):
      verax.findings.InputError: the network fails with inputs float32[2,3]:
        TypeError: dot_general requires contracting dimensions to have the same shape, got (3,) and (4,).
      ...
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        arrays = ", ".join(f"{name} {tree_text(tree)}" for name, tree in given.items())
        frames = user_frames(error)
        place = "".join(f"\n  at {each.filename}, line {each.lineno}: {each.line}" for each in frames[-1:])
        raise InputError(
            f"{what} fails with {arrays}:\n{_shortened(error)}{place}\n{_advice(error, bool(frames))}"
        ) from error


def tree_text(tree: Tree) -> str:
    """Returns dtype and shape of an array, or of the leaves of a tree by path."""
    leaves = leaves_by_path(tree)
    if list(leaves) == [""]:
        return shape_text(leaves[""])
    shown = [f"{path}: {shape_text(leaf)}" for path, leaf in list(leaves.items())[:LEAVES]]
    return "{" + ", ".join(shown + ["..."] * (len(leaves) > LEAVES)) + "}"


def _shortened(error: Exception) -> str:
    lines = [line.strip() for line in f"{type(error).__name__}: {error}".splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(NOT_THEIRS)]
    kept = [line if len(line) <= WIDTH else f"{line[: WIDTH - 4]} ..." for line in lines[:LINES]]
    return "\n".join(f"  {line}" for line in kept)


def _advice(error: Exception, has_line: bool) -> str:
    known = advice_for(error)
    if known:
        return known
    if isinstance(error, TypeError | ValueError):
        return f"Compare the shapes and types {'in that line ' if has_line else ''}with what was given."
    return "Correct that line." if has_line else "Call it with such arrays outside of Verax to see more."
