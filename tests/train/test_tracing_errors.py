"""What is said when a user's own function cannot be traced."""

import jax.numpy as jnp
import pytest

from verax.findings import InputError, user_frames
from verax.train._tracing_errors import LINES, WIDTH, explained


def test_the_shapes_the_error_and_the_users_line_are_said():
    with pytest.raises(InputError) as raised, explained("the network MLP", {"inputs": jnp.ones((2, 3))}):
        jnp.ones((2, 3)) @ jnp.ones((4, 5))
    first, error, place, advice = str(raised.value).splitlines()
    assert first == "the network MLP fails with inputs float32[2,3]:"
    assert error.startswith("  TypeError: dot_general requires")
    assert place.startswith("  at ") and "test_tracing_errors.py, line " in place
    assert place.endswith("jnp.ones((2, 3)) @ jnp.ones((4, 5))")
    assert advice.startswith("Compare the shapes")
    assert isinstance(raised.value.__cause__, TypeError)


def test_a_tree_is_shown_by_path_up_to_a_few_leaves():
    tree = {name: jnp.ones(1) for name in "abcdef"}
    shown = r"with inputs \{a: float32\[1\], b: .*d: float32\[1\], \.\.\.\}:"
    with pytest.raises(InputError, match=shown), explained("the network", {"inputs": tree}):
        raise ValueError("no")


def test_a_long_message_is_cut_to_a_screen():
    with pytest.raises(InputError) as raised, explained("the network", {"inputs": jnp.ones(2)}):
        raise ValueError("\n\n".join(["x" * 500] * 50))
    lines = str(raised.value).splitlines()
    assert len(lines) == LINES + 3
    assert max(map(len, lines)) <= WIDTH + 2


def test_an_input_error_passes_as_it_is():
    problem = InputError("the loss must have one value for each example.")
    with pytest.raises(InputError) as raised, explained("the loss", {}):
        raise problem
    assert raised.value is problem


def test_nothing_is_said_where_nothing_is_wrong():
    with explained("the network", {"inputs": jnp.ones(2)}):
        pass


def test_frames_of_libraries_and_of_verax_are_not_the_users():
    def fails(x):
        return x @ jnp.ones((9, 9))

    with pytest.raises(TypeError) as raised:
        fails(jnp.ones((2, 3)))
    assert [frame.name for frame in user_frames(raised.value)][-1] == "fails"

    with pytest.raises(InputError) as raised, explained("nothing", {}):
        raise InputError("said by Verax")
    assert all("verax/train" not in frame.filename for frame in user_frames(raised.value))
