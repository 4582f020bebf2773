"""Fixes of the rules on models, training and numerics: what they write, and that it computes the same."""

import ast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from verax.lint._check import check
from verax.lint._report import Edit
from verax.lint._rule import rule_of

HEAD = """import math
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
"""


def applied(text: str, edits: tuple[Edit, ...]) -> str:
    for each in sorted(edits, reverse=True):
        text = text[: each.start] + each.text + text[each.end :]
    return text


def fixed(code: str, text: str, *, safe: bool) -> str:
    """Returns a source after the fixes of a rule, one at a time; each must parse, and none is left at the end."""
    text = HEAD + text
    for _ in range(8):
        checked = check(text, [rule_of(code)])
        assert not checked.broken
        fixes = [each.fix for each in checked.reports if each.fix is not None]
        if not fixes:
            return text.removeprefix(HEAD)
        assert fixes[0].safe is safe
        text = applied(text, fixes[0].edits)
        ast.parse(text)
    raise AssertionError(f"{code} still finds something to fix:\n{text}")


BATCH = '{"params": p, "batch_stats": s}'
FIXES = [
    ("VX502", "def predict(m, v, x):\n    return m.apply(v, x, train=True)  # why\n",
     "def predict(m, v, x):\n    return m.apply(v, x, train=False)  # why\n", False),
    ("VX502", "def evaluate(m, v, x):\n    return m.apply(v, x, deterministic=False)\n",
     "def evaluate(m, v, x):\n    return m.apply(v, x, deterministic=True)\n", False),
    ("VX503", f"y = m.apply({BATCH}, x, train=True)\n",
     f'y = m.apply({BATCH}, x, train=True, mutable=["batch_stats"])\n', False),
    ("VX503", f"y = m.apply(\n    {BATCH},\n    x,  # inputs\n    train=(True),\n)\n",
     f'y = m.apply(\n    {BATCH},\n    x,  # inputs\n    train=(True), mutable=["batch_stats"],\n)\n', False),
    ("VX503", f"y = m.apply({BATCH}, (x), train=True, mutable=False)\n",
     f'y = m.apply({BATCH}, (x), train=True, mutable=["batch_stats"])\n', False),
    ("VX505", "class N(nn.Module):\n    @nn.compact\n    def __call__(self, x, train):\n"
     "        return nn.Dropout(0.5, deterministic=False)(x)\n",
     "class N(nn.Module):\n    @nn.compact\n    def __call__(self, x, train):\n"
     "        return nn.Dropout(0.5, deterministic=not train)(x)\n", False),
    ("VX505", "class N(nn.Module):\n    eval: bool\n    @nn.compact\n    def __call__(self, x):\n"
     "        return nn.BatchNorm(use_running_average=False)(x)\n",
     "class N(nn.Module):\n    eval: bool\n    @nn.compact\n    def __call__(self, x):\n"
     "        return nn.BatchNorm(use_running_average=self.eval)(x)\n", False),
    ("VX506", "def f(x, train):\n    return nn.Dropout(0.5)(x, deterministic=train)\n",
     "def f(x, train):\n    return nn.Dropout(0.5)(x, deterministic=not train)\n", True),
    ("VX506", "def f(x, inference):\n    return nn.Dropout(0.5, deterministic=not inference)(x)\n",
     "def f(x, inference):\n    return nn.Dropout(0.5, deterministic=inference)(x)\n", True),
    ("VX507", "def f(z, y):\n    return optax.softmax_cross_entropy(nn.softmax(z, -1), y)\n",
     "def f(z, y):\n    return optax.softmax_cross_entropy(z, y)\n", True),
    ("VX507", "def f(z, y):\n    return optax.softmax_cross_entropy(labels=y, logits=jax.nn.softmax(z @ y))\n",
     "def f(z, y):\n    return optax.softmax_cross_entropy(labels=y, logits=z @ y)\n", True),
    ("VX508", "tx = optax.chain(optax.add_decayed_weights(1e-4), optax.adam(1e-3, b1=0.8))\n",
     "tx = optax.chain(optax.adamw(1e-3, b1=0.8, weight_decay=1e-4))\n", False),
    ("VX508", "tx = optax.chain(optax.adam(1e-3), optax.add_decayed_weights(1e-4, mask=mask))\n",
     "tx = optax.chain(optax.adamw(1e-3, weight_decay=1e-4, mask=mask))\n", False),
    ("VX508", "tx = optax.chain(optax.add_decayed_weights(1e-4), optax.scale_by_adam(), optax.scale(-1.0))\n",
     "tx = optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(1e-4), optax.scale(-1.0))\n", False),
    ("VX508", "tx = optax.chain(optax.sgd(0.1), optax.add_decayed_weights(1e-4))\n",
     "tx = optax.chain(optax.add_decayed_weights(1e-4), optax.sgd(0.1))\n", False),
    ("VX509", "tx = optax.chain(\n    optax.adam(1e-3),  # first\n    optax.clip(1.0),\n)\n",
     "tx = optax.chain(\n    optax.clip(1.0),  # first\n    optax.adam(1e-3),\n)\n", False),
    ("VX510", "tx = optax.adamw(1e-3)\ndef step(p, g, s):\n    u, s = tx.update(g, s)\n"
     "    return optax.apply_updates(p, u), s\n",
     "tx = optax.adamw(1e-3)\ndef step(p, g, s):\n    u, s = tx.update(g, s, p)\n"
     "    return optax.apply_updates(p, u), s\n", False),
    ("VX511", "def loss(params, f, r, obs, next_obs):\n    target = r + 0.9 * f(params, next_obs)\n"
     "    return (f(params, obs) - target) ** 2\ng = jax.grad(loss)\n",
     "def loss(params, f, r, obs, next_obs):\n    target = jax.lax.stop_gradient(r + 0.9 * f(params, next_obs))\n"
     "    return (f(params, obs) - target) ** 2\ng = jax.grad(loss)\n", False),
    ("VX512", "tx = optax.adam(0.1)\ndef train(p, gs):\n    s = tx.init(p)\n    for g in gs:\n"
     "        u, _ = tx.update(g, s, p)\n        p = optax.apply_updates(p, u)\n    return p\n",
     "tx = optax.adam(0.1)\ndef train(p, gs):\n    s = tx.init(p)\n    for g in gs:\n"
     "        u, s = tx.update(g, s, p)\n        p = optax.apply_updates(p, u)\n    return p\n", True),
    ("VX513", "def f(p):\n    return p.sum(), p\ng = jax.grad(f)\n",
     "def f(p):\n    return p.sum(), p\ng = jax.grad(f, has_aux=True)\n", False),
    ("VX513", "g = jax.grad(lambda p: p.sum(), has_aux=True)\n",
     "g = jax.grad(lambda p: p.sum(), has_aux=False)\n", False),
    ("VX514", "class N(nn.Module):\n    # why\n    def __call__(self, x):\n        return nn.Dense(8)(x)\n",
     "class N(nn.Module):\n    # why\n    @nn.compact\n    def __call__(self, x):\n"
     "        return nn.Dense(8)(x)\n", True),
    ("VX514", "class N(nn.Module):\n    @jax.named_scope('n')\n    def __call__(self, x):\n"
     "        return nn.Dense(8)(x)\n",
     "class N(nn.Module):\n    @nn.compact\n    @jax.named_scope('n')\n    def __call__(self, x):\n"
     "        return nn.Dense(8)(x)\n", True),
    ("VX516", "net = nn.LayerNorm()\ntx = optax.adamw(1e-3, weight_decay=0.1)\n",
     "net = nn.LayerNorm()\ntx = optax.adamw(1e-3, weight_decay=0.1, "
     "mask=lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params))\n", False),
    ("VX601", "def f(x):\n    return jnp.log(jax.nn.softmax(x, axis=0))  # why\n",
     "def f(x):\n    return jax.nn.log_softmax(x, axis=0)  # why\n", True),
    ("VX601", "def f(x):\n    return -jnp.log(nn.sigmoid(x))\n", "def f(x):\n    return -nn.log_sigmoid(x)\n", True),
    ("VX602", "def f(x):\n    return jnp.where(x > 0, jnp.log(x), 0.0)\n",
     "def f(x):\n    return jnp.where(x > 0, jnp.log(jnp.where(x > 0, x, 1.0)), 0.0)\n", False),
    ("VX602", "def f(x):\n    return jnp.where(x == 0, 0.0, 1 / x)\n",
     "def f(x):\n    return jnp.where(x == 0, 0.0, 1 / jnp.where(x == 0, 1.0, x))\n", False),
    ("VX602", "def f(x):\n    return jnp.where(abs(x) < 1, jnp.arccos(x), 0.0)\n",
     "def f(x):\n    return jnp.where(abs(x) < 1, jnp.arccos(jnp.where(abs(x) < 1, x, 0.0)), 0.0)\n", False),
    ("VX603", "def f(x):\n    return 2 * jnp.log(jnp.sum(jnp.exp(x), axis=0, keepdims=True))\n",
     "def f(x):\n    return 2 * jax.nn.logsumexp(x, axis=0, keepdims=True)\n", True),
    ("VX603", "def f(x):\n    return jnp.log(jnp.exp(x * 2).sum(0))\n",
     "def f(x):\n    return jax.nn.logsumexp(x * 2, axis=0)\n", True),
    ("VX604", "def f(x):\n    return (x != np.nan).all() | (x == jnp.nan).any()\n",
     "def f(x):\n    return (~jnp.isnan(x)).all() | (jnp.isnan(x)).any()\n", True),
    ("VX604", "def f(x):\n    return jnp.where(jnp.nan == x + 1, 0.0, x)\n",
     "def f(x):\n    return jnp.where(jnp.isnan(x + 1), 0.0, x)\n", True),
]  # fmt: skip


@pytest.mark.parametrize(("code", "before", "after", "safe"), FIXES)
def test_a_fix_writes_what_a_person_would(code, before, after, safe):
    assert fixed(code, before, safe=safe) == after


ARRAY = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


@pytest.mark.parametrize(("code", "before", "after", "safe"), [each for each in FIXES if each[0] in ("VX601", "VX603")])
def test_a_safe_fix_computes_the_same(code, before, after, safe):
    values = []
    for text in (before, after):
        names: dict = {}
        exec(HEAD + text, names)
        values.append(names["f"](jnp.asarray(ARRAY)))
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("code", "before", "after", "safe"), [each for each in FIXES if each[0] == "VX602"])
def test_the_guarded_branch_has_the_value_and_a_finite_gradient(code, before, after, safe):
    points = jnp.array([-2.0, -0.5, 0.0, 0.5, 2.0])
    found = []
    for text in (before, after):
        names: dict = {}
        exec(HEAD + text, names)
        found.append((names["f"](points), jax.grad(lambda x, f=names["f"]: f(x).sum())(points)))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert not np.isfinite(found[0][1]).all()
    assert np.isfinite(found[1][1]).all()


def test_a_fix_keeps_what_is_not_ascii():
    before = "é = 'ü'\ndef f(x):\n    return 'ß', jnp.log(jax.nn.softmax(x))  # ñ\n"
    assert fixed("VX601", before, safe=True) == before.replace("jnp.log(jax.nn.softmax(x))", "jax.nn.log_softmax(x)")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("VX603", "from jax import numpy as jn\ndef f(x, jax):\n    return jn.log(jn.sum(jn.exp(x)))\n"),
        ("VX601", "def f(x):\n    p = jax.nn.softmax(x)\n    return jnp.log(p)\n"),
        ("VX512", "def step(tx, p, g, opt_state):\n    u, n = tx.update(g, opt_state, p)\n"
         "    return optax.apply_updates(p, u), opt_state\n"),
    ],
)  # fmt: skip
def test_no_fix_is_offered_where_it_would_not_be_right(code, text):
    reports = check(HEAD + text, [rule_of(code)]).reports
    assert reports
    assert all(each.fix is None for each in reports)


def test_the_mask_of_weight_decay_leaves_out_what_has_one_axis():
    names: dict = {}
    text = "net = nn.LayerNorm()\ntx = optax.adamw(1.0, weight_decay=0.5)\n"
    exec(HEAD + fixed("VX516", text, safe=False), names)
    params = {"scale": jnp.ones(3), "kernel": jnp.ones((3, 3))}
    with jax.numpy_dtype_promotion("standard"):  # Optax's own arithmetic
        updates, _ = names["tx"].update(jax.tree.map(jnp.zeros_like, params), names["tx"].init(params), params)
    np.testing.assert_allclose(updates["scale"], 0.0)
    np.testing.assert_allclose(updates["kernel"], -0.5)
