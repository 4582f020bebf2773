"""The fixes of the rules about purity, tracing and compilation: what they write, and that it computes the same."""

import ast
from textwrap import dedent

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from verax.lint._check import check
from verax.lint._rule import rule_of

IMPORTS = "import functools\nimport jax\nimport jax.numpy as jnp\nimport numpy as np\nfrom jax import lax\n"


def fixed(code, text, *, unsafe=False):
    """Returns a text after the fixes of a rule, each applied where it overlaps no other."""
    checked = check(text, [rule_of(code)])
    assert not checked.broken
    edits = []
    for report in checked.reports:
        if report.fix is not None and (report.fix.safe or unsafe):
            new = [each for each in report.fix.edits if each not in edits]
            if all(one.end <= other.start or other.end <= one.start for one in new for other in edits):
                edits += new
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    ast.parse(text)
    return text


def check_fix(code, before, after, *, unsafe=False, imports=IMPORTS):
    before, after = imports + dedent(before), imports + dedent(after)
    assert fixed(code, before, unsafe=unsafe) == after
    assert fixed(code, after, unsafe=unsafe) == after
    return before, after


def run(text, call):
    names = {}
    exec(compile(text, "<fixed>", "exec"), names)
    return eval(call, names)


FIXES = [
    pytest.param(
        "VX201",
        """
        @jax.jit
        def f(x):
            print("x is", x)  # shows it
            print(f"{x} of {x + 1}", x, sep=", ")
            return x
        """,
        """
        @jax.jit
        def f(x):
            jax.debug.print("x is {}", x)  # shows it
            jax.debug.print("{} of {}, {}", x, x + 1, x)
            return x
        """,
        id="print",
    ),
    pytest.param(
        "VX205",
        """
        def f(n):
            x = jnp.zeros((n, n))
            x[0, 1:] = 1.0  # first row
            x[1] += 2 * n
            x[2] -= n - 1
            x[:, 0] *= 3
            x[2, 2] = 1 if n else 2
            return x
        """,
        """
        def f(n):
            x = jnp.zeros((n, n))
            x = x.at[0, 1:].set(1.0)  # first row
            x = x.at[1].add(2 * n)
            x = x.at[2].add(-(n - 1))
            x = x.at[:, 0].multiply(3)
            x = x.at[2, 2].set(1 if n else 2)
            return x
        """,
        id="item",
    ),
    pytest.param(
        "VX207",
        """
        @jax.jit
        def f(x):
            return float(jnp.mean(x))

        @jax.jit
        def g(x):
            y = x.sum()
            return y.item()  # a number
        """,
        """
        @jax.jit
        def f(x):
            return jnp.mean(x)

        @jax.jit
        def g(x):
            y = x.sum()
            return y  # a number
        """,
        id="number",
    ),
    pytest.param(
        "VX208",
        """
        @jax.jit
        def f(x):
            return np.linalg.norm(np.tanh(x), axis=0) + np.sqrt(x.shape[0])
        """,
        """
        @jax.jit
        def f(x):
            return np.linalg.norm(jnp.tanh(x), axis=0) + np.sqrt(x.shape[0])
        """,
        id="numpy",
    ),
    pytest.param(
        "VX209",
        """
        def f(x):
            x.at[0].set(1.0)
            return x
        """,
        """
        def f(x):
            x = x.at[0].set(1.0)
            return x
        """,
        id="discarded",
    ),
    pytest.param(
        "VX301",
        """
        def f(params, batches):
            for batch in batches:
                # one step
                step = jax.jit(lambda p, b: p - b)  # compiled
                params = step(params, batch)
            return params
        """,
        """
        def f(params, batches):
            step = jax.jit(lambda p, b: p - b)  # compiled
            for batch in batches:
                # one step
                params = step(params, batch)
            return params
        """,
        id="loop",
    ),
    pytest.param(
        "VX303",
        """
        @jax.jit
        def f(x, train=False, mode: str = "a"):
            if train:
                return x * 2
            return x if mode == "a" else -x
        """,
        """
        @functools.partial(jax.jit, static_argnames=("train", "mode"))
        def f(x, train=False, mode: str = "a"):
            if train:
                return x * 2
            return x if mode == "a" else -x
        """,
        id="flag",
    ),
    pytest.param(
        "VX303",
        """
        @functools.partial(jax.jit, donate_argnums=0)
        def f(x, train=False):
            return x * 2 if train else x
        """,
        """
        @functools.partial(jax.jit, donate_argnums=0, static_argnames=("train",))
        def f(x, train=False):
            return x * 2 if train else x
        """,
        id="flag-with-options",
    ),
    pytest.param(
        "VX304",
        """
        @functools.partial(jax.jit, static_argnums=1)
        def f(x, shape):
            return x.reshape(shape)

        def g(x):
            return f(x, [2, 3]), f(x, [6]), f(x, shape=[3, 2])
        """,
        """
        @functools.partial(jax.jit, static_argnums=1)
        def f(x, shape):
            return x.reshape(shape)

        def g(x):
            return f(x, (2, 3)), f(x, (6,)), f(x, shape=(3, 2))
        """,
        id="list",
    ),
]


@pytest.mark.parametrize(("code", "before", "after"), FIXES)
def test_a_safe_fix_writes_this_and_then_nothing_more(code, before, after):
    if code == "VX208":
        after = after.replace("np.linalg.norm(jnp", "jnp.linalg.norm(jnp")  # the outer call gets what NumPy would make
        first = fixed(code, IMPORTS + dedent(before))
        assert fixed(code, first) == IMPORTS + dedent(after)
        return
    check_fix(code, before, after)


@pytest.mark.parametrize(
    "line", ['print(f"{x:.3f}", x)', 'print("shape", x.shape)', 'print(x, end="")', 'print("{}", x)']
)
def test_a_print_that_the_device_has_no_match_for_is_left(line):
    text = f"{IMPORTS}@jax.jit\ndef f(x):\n    {line}\n    return x\n"
    assert fixed("VX201", text, unsafe=True) == text


@pytest.mark.parametrize(
    ("code", "before", "after"),
    [
        (
            "VX302",
            """
            @functools.partial(jax.jit, static_argnames=["trainng", 'n'])
            def f(x, n, training): return x
            """,
            """
            @functools.partial(jax.jit, static_argnames=["training", 'n'])
            def f(x, n, training): return x
            """,
        ),
        (
            "VX303",
            """
            def f(x, train: bool): return x if train else -x
            g = jax.jit(f)
            h = functools.partial(jax.jit, static_argnames=("n",))(lambda x, n, kind: x if kind == "a" else n)
            """,
            """
            def f(x, train: bool): return x if train else -x
            g = jax.jit(f, static_argnames=("train",))
            h = functools.partial(jax.jit, static_argnames=("n", "kind",))(lambda x, n, kind: x if kind == "a" else n)
            """,
        ),
        (
            "VX307",
            """
            class Model:
                @jax.jit
                def f(self, x): return x
                @functools.partial(jax.jit, static_argnames=("n",))
                def g(self, x, n): return x
            """,
            """
            class Model:
                @functools.partial(jax.jit, static_argnums=0)
                def f(self, x): return x
                @functools.partial(jax.jit, static_argnames=("self", "n",))
                def g(self, x, n): return x
            """,
        ),
        (
            "VX211",
            """
            def total(xs):
                return lax.scan(lambda c, x: c + x, 0.0, xs)
            """,
            """
            def total(xs):
                return lax.scan(lambda c, x: (c + x, None), 0.0, xs)
            """,
        ),
    ],
    ids=["name", "flag", "method", "scan"],
)
def test_an_unsafe_fix_writes_this_when_asked_and_else_nothing(code, before, after):
    check_fix(code, before, after, unsafe=True)
    assert fixed(code, IMPORTS + dedent(before)) == IMPORTS + dedent(before)


STEPS = """
import optax
tx = optax.chain(optax.clip(1.0), optax.adam(1e-1))
RATE = 0.1

def loss_of(params, batch):
    inputs, targets = batch
    return jnp.mean((inputs @ params - targets) ** 2)

gradient = jax.value_and_grad(loss_of)

def adam(params, opt_state, batch):
    value, grads = gradient(params, batch)
    updates, opt_state = tx.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, value

def sgd(params, inputs, targets):
    def loss(params):
        return optax.squared_error(inputs @ params, targets).mean()

    # the slope
    grads = jax.grad(loss)(params)
    return jax.tree.map(lambda p, g: p - RATE * g, params, grads)

def train(batches):
    params = jnp.zeros(2)
    opt_state = tx.init(params)
    for batch in batches:
        params, opt_state, _ = adam(params, opt_state, batch)
        params = sgd(params, *batch)
    return params
"""
NOT_ALL_SEEN = {
    "a print": "    print(g)\n",
    "a branch": "    if g > 0:\n        g = -g\n",
    "a number of Python": "    g = float(g)\n",
    "a list that grows": "    history.append(g)\n",
    "a setting that changes": "    g = g * rate\n",
    "a table": "    g = g * settings['rate']\n",
    "a function of another file": "    g = helper(g)\n",
    "a size that depends on values": "    g = jnp.where(g > 0)[0]\n",
    "an axis that is traced": "    g = jnp.mean(g, batch)\n",
    "an array that NumPy changes": "    params -= g\n",
    "a loop": "    for each in batch:\n        g = g + each\n",
}


def test_a_step_of_which_all_is_seen_is_compiled():
    before, after = check_fix(
        "VX308",
        STEPS,
        STEPS.replace("def adam", "@jax.jit\ndef adam").replace("def sgd", "@jax.jit\ndef sgd"),
        unsafe=True,
    )
    assert fixed("VX308", before) == before
    call = "train([(jnp.ones((3, 2)), jnp.arange(3.0)), (jnp.eye(2), jnp.ones(2))])"
    with jax.numpy_dtype_promotion("standard"):  # which Optax needs
        values = [run(text, call) for text in (before, after)]
    np.testing.assert_allclose(*values, rtol=1e-5)  # a compiled sum rounds differently


@pytest.mark.parametrize("line", NOT_ALL_SEEN.values(), ids=NOT_ALL_SEEN)
def test_a_step_of_which_not_all_is_seen_is_left(line):
    text = IMPORTS + (
        "from elsewhere import helper\nhistory, settings, rate = [], {'rate': 1}, 0.1\nrate = 0.2\n"
        "def step(params, batch):\n    g = jax.grad(lambda p, b: jnp.mean(b @ p))(params, batch)\n"
        f"{line}    return params - g\n"
        "def train(params, batches):\n    for batch in batches: params = step(params, batch)\n"
    )
    assert [each.code for each in check(text, [rule_of("VX308")]).reports] == ["VX308"]
    assert fixed("VX308", text, unsafe=True) == text
    assert "@jax.jit" in fixed("VX308", text.replace(line, ""), unsafe=True)


@pytest.mark.parametrize(
    "step",
    [
        "def step(params, scale, batch):\n    g = jax.grad(lambda p, b: jnp.mean(b @ p))(params, batch)\n"
        "    return params - scale * g\n",  # `scale` may be anything that numbers are multiplied with
        "def step(params, name, batch):\n    g = jax.grad(lambda p, b: jnp.mean(b['x'] @ p))(params, batch)\n"
        "    return params - g\n",  # other items of `batch` may be texts
        "def step(params, batch, train=True):\n    g = jax.grad(lambda p, b: jnp.mean(b @ p))(params, batch)\n"
        "    return params - g\n",
    ],
)
def test_a_step_whose_parameters_are_not_shown_to_be_arrays_is_left(step):
    text = f"{IMPORTS}{step}def train(p, batches):\n    for batch in batches: p = step(p, 'a', batch)\n"
    assert [each.code for each in check(text, [rule_of("VX308")]).reports] == ["VX308"]
    assert fixed("VX308", text, unsafe=True) == text


def test_a_missing_import_is_added():
    before = '"""Doc."""\nfrom jax import jit\n\n\n@jit\ndef f(x, train=False):\n    return x if train else -x\n'
    after = fixed("VX303", before)
    assert after == (
        '"""Doc."""\nimport functools\nfrom jax import jit\n\n\n'
        '@functools.partial(jit, static_argnames=("train",))\ndef f(x, train=False):\n    return x if train else -x\n'
    )
    assert run(after, "f(2.0, train=True)") == 2.0


def test_what_was_jitted_in_a_loop_computes_the_same():
    code, before, after = next(each.values for each in FIXES if each.id == "loop")
    texts = check_fix(code, before, after)
    values = [run(each, "f(jnp.ones(3), [jnp.ones(3), jnp.arange(3.0)])") for each in texts]
    np.testing.assert_array_equal(*values)


def test_printing_from_the_device_shows_the_values(capsys):
    code, before, after = next(each.values for each in FIXES if each.id == "print")
    _, after = check_fix(code, before, after)
    assert run(after, "f(3)") == 3
    jax.effects_barrier()
    assert capsys.readouterr().out == "x is 3\n3 of 4, 3\n"


@pytest.mark.parametrize(
    ("id", "call", "expected"),
    [
        ("item", "f(3)", [[0, 1, 1], [18, 6, 6], [-6, -2, 1]]),
        ("number", "f(jnp.arange(3.0))", 1.0),
        ("discarded", "f(jnp.zeros(2))", [1, 0]),
        ("flag", "f(jnp.ones(2), train=True)", [2, 2]),
        ("flag-with-options", "f(jnp.ones(2), True)", [2, 2]),
        ("list", "g(jnp.arange(6))[2]", [[0, 1], [2, 3], [4, 5]]),
    ],
)
def test_a_program_that_raised_computes_what_was_meant(id, call, expected):
    code, before, after = next(each.values for each in FIXES if each.id == id)
    before, after = check_fix(code, before, after)
    if id != "discarded":
        with pytest.raises((TypeError, ValueError, jax.errors.TracerBoolConversionError)):
            run(before, call)
    np.testing.assert_array_equal(run(after, call), jnp.asarray(expected))
