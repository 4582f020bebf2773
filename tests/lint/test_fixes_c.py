"""Fixes of stale names: what they write, that they end, and that the program computes what it should."""

import ast

import jax.numpy as jnp
import numpy as np
import pytest

from verax.lint._check import check
from verax.lint._fixes import fixed
from verax.lint._outcome import Outcome
from verax.lint._rule import all_rules

RULES = [each for each in all_rules().values() if each.code.startswith("VX4")]


class Namespace:
    """`jax.numpy` with functions that it has no more."""

    def __init__(self, **functions):
        self.__dict__.update(functions)

    def __getattr__(self, name):
        return getattr(jnp, name)


def mended(text, *, unsafe=False, **known):
    def run(found):
        checked = check(found.texts[0], RULES, known=known)
        assert not checked.broken
        return Outcome(checked.reports)

    done = fixed(text.encode(), "x.py", run, unsafe=unsafe)
    assert not done.problem
    after = done.after.decode()
    ast.parse(after)
    again = fixed(after.encode(), "x.py", run, unsafe=unsafe)
    assert again.after == done.after
    return after


SAFE = [
    ("VX401 attribute",
     "import jax\ny = jax.tree_map(  # why\n    f, x)\n",
     "import jax\ny = jax.tree.map(  # why\n    f, x)\n"),
    ("VX401 alias of jax", "import jax as j\ny = j.tree_multimap(f, x)\n", "import jax as j\ny = j.tree.map(f, x)\n"),
    ("VX401 through jax.tree_util",
     "import jax.tree_util as jtu\ny = jtu.tree_multimap(f, x)\n",
     "import jax.tree_util as jtu\ny = jtu.tree_map(f, x)\n"),
    ("VX401 import", "from jax import tree_map\n", "from jax.tree_util import tree_map\n"),
    ("VX401 import as",
     "from jax import tree_map as tm  # maps\n", "from jax.tree_util import tree_map as tm  # maps\n"),
    ("VX401 one of several",
     "from jax import jit, tree_map, vmap\n",
     "from jax.tree_util import tree_map\nfrom jax import jit, vmap\n"),
    ("VX401 two of several",
     "from jax import tree_leaves, jit, tree_map\n",
     "from jax.tree_util import tree_leaves\nfrom jax.tree_util import tree_map\nfrom jax import jit\n"),
    ("VX401 in parentheses",
     "from jax import (\n    jit,  # a\n    tree_map,  # b\n    vmap,\n)\n",
     "from jax.tree_util import tree_map\nfrom jax import (\n    jit,  # a\n    # b\n    vmap,\n)\n"),
    ("VX401 last in parentheses",
     "from jax import (jit,  # a, b\n    tree_map)\n",
     "from jax.tree_util import tree_map\nfrom jax import (jit,  # a, b\n    )\n"),
    ("VX401 last with a comma",
     "from jax import (\n    jit,  # a, b\n    tree_map as t,\n)\n",
     "from jax.tree_util import tree_map as t\nfrom jax import (\n    jit,  # a, b\n)\n"),
    ("VX401 last of a line", "from jax import jit, tree_map  # a\n",
     "from jax.tree_util import tree_map\nfrom jax import jit  # a\n"),
    ("VX401 in a function",
     "def f():\n    from jax import jit, tree_leaves\n    return jit, tree_leaves\n",
     "def f():\n    from jax.tree_util import tree_leaves\n    from jax import jit\n    return jit, tree_leaves\n"),
    ("VX402",
     "import jax\n\n@jax.partial(jax.jit, static_argnames=['a'])\ndef f(a): ...\n",
     "import functools\nimport jax\n\n@functools.partial(jax.jit, static_argnames=['a'])\ndef f(a): ...\n"),
    ("VX402 imported",
     "import functools as ft\nimport jax\nf = jax.partial(g)\nh = jax.partial(g)\n",
     "import functools as ft\nimport jax\nf = ft.partial(g)\nh = ft.partial(g)\n"),
    ("VX402 from", "from jax import partial as p\n", "from functools import partial as p\n"),
    ("VX403",
     "import jax\ny = jax.ops.index_update(x, jax.ops.index[0, :], y)\n",
     "import jax\ny = x.at[0, :].set(y)\n"),
    ("VX403 keywords",
     "from jax import ops\ny = ops.index_add(x + 1, idx=i, y=f(z), indices_are_sorted=True)\n",
     "from jax import ops\ny = (x + 1).at[i].add(f(z), indices_are_sorted=True)\n"),
    ("VX403 in another",
     "import jax\ny = jax.ops.index_mul(jax.ops.index_min(x, 0, 1), 1, 2)\n",
     "import jax\ny = x.at[0].min(1).at[1].multiply(2)\n"),
    ("VX403 of what is no array yet",
     "import jax\nimport numpy as np\nx = np.ones(2)\ny = jax.ops.index_add(x, 0, jax.ops.index_add([1, 2], 0, 1))\n",
     "import jax\nimport numpy as np\nx = np.ones(2)\n"
     "y = jax.numpy.asarray(x).at[0].add(jax.numpy.asarray([1, 2]).at[0].add(1))\n"),
    ("VX403 of what NumPy made first",
     "import jax\nimport numpy as np\ny = np.ones(2)\ny = jax.ops.index_add(y, 0, 1)\ny = jax.ops.index_add(y, 1, 1)\n",
     "import jax\nimport numpy as np\ny = np.ones(2)\ny = jax.numpy.asarray(y).at[0].add(1)\ny = y.at[1].add(1)\n"),
    ("VX403 index by itself",
     "import jax\nplace = jax.ops.index[1:3, ::2]\n", "import jax\nplace = jax.numpy.s_[1:3, ::2]\n"),
    ("VX403 index imported",
     "from jax.ops import index\nplace = index[1:3]\n", "from jax.numpy import s_ as index\nplace = index[1:3]\n"),
    ("VX403 import",
     "from jax.ops import index_update as put  # why\ny = put(put(x, 0, 1), idx=2, y=[put(z, 0, 1)])\n",
     "# why\ny = x.at[0].set(1).at[2].set([z.at[0].set(1)])\n"),
    ("VX403 two imports",
     "from jax.ops import index, index_update\n\n\ndef f(x):\n    return index_update(x, index[0, :], 1.0)\n",
     "\n\ndef f(x):\n    return x.at[0, :].set(1.0)\n"),
    ("VX403 import beside another",
     "from jax.ops import index_add, segment_sum\ny = segment_sum(index_add(x, 0, 1), ids)\n",
     "from jax.ops import segment_sum\ny = segment_sum(x.at[0].add(1), ids)\n"),
    ("VX403 import in a function",
     "def f(x):\n    from jax.ops import index_add\n    return index_add(x\n        .T, 0, 1)\n",
     "def f(x):\n    return (x\n        .T).at[0].add(1)\n"),
    ("VX404 moved",
     "from jax.experimental import optimizers\n", "from jax.example_libraries import optimizers\n"),
    ("VX404 moved, from",
     "from jax.experimental.stax import Dense\n", "from jax.example_libraries.stax import Dense\n"),
    ("VX404 moved, as",
     "import jax.experimental.stax as stax\n", "import jax.example_libraries.stax as stax\n"),
    ("VX404 moved, used by its full name",
     "import jax.experimental.stax\nd = jax.experimental.stax.Dense(3)\n",
     "import jax.example_libraries.stax\nd = jax.example_libraries.stax.Dense(3)\n"),
    ("VX404 pjit",
     "from jax.experimental.pjit import pjit\nf = pjit(g, in_shardings=s)\n",
     "from jax import jit as pjit\nf = pjit(g, in_shardings=s)\n"),
    ("VX404 shard_map",
     "from jax.experimental.shard_map import shard_map\nf = shard_map(g, mesh, a, out_specs=b, check_rep=False)\n",
     "from jax import shard_map\nf = shard_map(g, mesh=mesh, in_specs=a, out_specs=b, check_vma=False)\n"),
    ("VX405 config", "from jax.config import config\n", "from jax import config\n"),
    ("VX405 host", "import jax\nn = jax.host_id()\n", "import jax\nn = jax.process_index()\n"),
    ("VX405 linear_util",
     "from jax import linear_util as lu\n", "from jax.extend import linear_util as lu\n"),
    ("VX406 nnx", "from flax.experimental import nnx\n", "from flax import nnx\n"),
    ("VX408",
     "import optax\nt = optax.additive_weight_decay(1e-4)\n", "import optax\nt = optax.add_decayed_weights(1e-4)\n"),
    ("VX408 contrib",
     "import optax\nt = optax.dpsgd(1, 1, 1, 0)\n", "import optax\nt = optax.contrib.dpsgd(1, 1, 1, 0)\n"),
    ("VX409", "import jax.numpy as jnp\ny = jnp.trapz(a, b)\n", "import jax.numpy as jnp\ny = jnp.trapezoid(a, b)\n"),
    ("VX409 import",
     "from jax.numpy import row_stack, ones\n", "from jax.numpy import vstack as row_stack, ones\n"),
    ("VX409 annotation",
     "import jax.numpy as jnp\ndef f(x: jnp.DeviceArray): ...\n",
     "import jax\nimport jax.numpy as jnp\ndef f(x: jax.Array): ...\n"),
    ("VX409 constant", "import jax.numpy as jnp\ny = x * jnp.NINF\n", "import jax.numpy as jnp\ny = x * (-jnp.inf)\n"),
    ("VX410",
     "import jax.numpy as jnp\ny = jnp.clip(x, a_min=0, a_max=1)\n",
     "import jax.numpy as jnp\ny = jnp.clip(x, min=0, max=1)\n"),
]  # fmt: skip
UNSAFE = [
    ("VX405 key", "import jax\ndef f(k: jax.random.KeyArray): ...\n", "import jax\ndef f(k: jax.Array): ...\n"),
    ("VX407", "import jax\nk = jax.random.PRNGKey(0)\n", "import jax\nk = jax.random.key(0)\n"),
    ("VX407 import", "from jax.random import PRNGKey\n", "from jax.random import key as PRNGKey\n"),
    ("VX409 of another shape",
     "import jax.numpy as jnp\ny = jnp.in1d(a, ar2=b)\n",
     "import jax.numpy as jnp\ny = jnp.isin(a, test_elements=b)\n"),
    ("VX409 of another shape, import",
     "from jax.numpy import in1d\ny = in1d(ar1=a, ar2=b)\n",
     "from jax.numpy import isin as in1d\ny = in1d(element=a, test_elements=b)\n"),
    ("VX411", "import optax\nt = optax.AdamW(1e-3)\n", "import optax\nt = optax.adamw(1e-3)\n"),
    ("VX411 of another module",
     "import jax.numpy as jnp\ny = jnp.softmax(x)\n", "import jax\nimport jax.numpy as jnp\ny = jax.nn.softmax(x)\n"),
]  # fmt: skip
UNTOUCHED = {
    "another statement on the line": "import os; from jax import jit, tree_map\n",
    "optimisers": "from flax import optim\n",
    "shard_map handed on": "from jax.experimental.shard_map import shard_map\nuse(shard_map)\n",
    "shard_map with auto": "from jax.experimental.shard_map import shard_map\nf = shard_map(g, mesh, a, b, auto=c)\n",
    "pjit by place": "from jax.experimental.pjit import pjit\nf = pjit(g, s, s)\n",
    "a function as a value": "import jax\nadd = jax.ops.index_add\nmore = f(jax.ops.index_mul)\n",
    "an import that is a value": "from jax.ops import index_add\ny = index_add(x, 0, 1), f(index_add)\n",
    "an import that is given on": "from jax.ops import index_add\n__all__ = ['index_add']\ny = index_add(x, 0, 1)\n",
    "an import with hidden arguments": "from jax.ops import index_add\ny = index_add(x, index_add(*given), 1)\n",
    "hidden arguments": "import jax\ny = jax.ops.index_add(*given)\n",
    "both keywords": "import jax.numpy as jnp\ny = jnp.clip(x, a_min=0, min=0)\n",
}


@pytest.mark.parametrize(("text", "expected"), [each[1:] for each in SAFE], ids=[each[0] for each in SAFE])
def test_a_safe_fix_writes_the_current_name(text, expected):
    assert mended(text) == expected


@pytest.mark.parametrize(("text", "expected"), [each[1:] for each in UNSAFE], ids=[each[0] for each in UNSAFE])
def test_an_unsafe_fix_is_made_only_when_asked_for(text, expected):
    assert mended(text) == text
    assert mended(text, unsafe=True) == expected


SAME_SHAPE = [
    "jnp.in1d(x.ravel(), b)", "jnp.in1d(x.reshape(-1), b)", "jnp.in1d(x.reshape((-1,)), b)",
    "jnp.in1d(jnp.ravel(x), b)", "jnp.in1d(jnp.arange(6), b)", "jnp.in1d(jnp.array([1, -2]), b)", "jnp.in1d(flat, b)",
    "jnp.in1d(jnp.ones(4, int), b)",
    "jnp.in1d(jnp.zeros((6,), int), b)", "jnp.in1d(jnp.reshape(x, -1), b)", "jnp.in1d(ar1=flat, ar2=b)",
    "jnp.in1d(x, b).any()", "jnp.in1d(x, b).reshape(x.shape)", "jnp.in1d(x, b).reshape(3, -1)",
    "jnp.in1d(x, b).ravel()", "jnp.in1d(x, b).sum()", "jnp.all(jnp.in1d(x, b))",
    "jnp.reshape(jnp.in1d(x, b), (3, 2))", "~jnp.in1d(x, b).all()",
]  # fmt: skip
OTHER_SHAPE = [
    "jnp.in1d(x, b)", "jnp.in1d(jnp.array([[1, 2], [3, 4]]), b)", "jnp.in1d(jnp.array(3), b)", "jnp.in1d(twice, b)",
    "jnp.in1d(jnp.array([1, 2], ndmin=2), b)", "jnp.in1d(x.reshape(2, -1), b)", "jnp.in1d(jnp.ones((2, 3)), b)",
    "jnp.in1d(x, b).any(0)", "jnp.in1d(x, b).sum(axis=0)", "jnp.in1d(x, b).reshape(2, 3, order='F')",
    "jnp.in1d(x, b).shape", "jnp.sum(jnp.in1d(x, b), 0)", "jnp.all(x, where=jnp.in1d(x, b))", "jnp.in1d(x[0, 0], b)",
]  # fmt: skip
SHAPES = (
    "import jax.numpy as jnp\nx, b = jnp.arange(6).reshape(2, 3), jnp.array([2, 5])\nflat = x.ravel()\n"
    "twice = flat\ntwice = x\n"
)


@pytest.mark.parametrize("call", SAME_SHAPE)
def test_in1d_is_isin_where_its_shape_is_the_same_or_lost(call):
    after = mended(SHAPES + f"result = {call}\n")
    assert "isin" in after
    found: dict = {}
    exec(compile(after, "after", "exec"), found)
    found["jnp"] = Namespace(in1d=lambda ar1, ar2: found["jnp"].isin(ar1.ravel(), ar2))
    np.testing.assert_array_equal(found["result"], eval(call, found), strict=True)


@pytest.mark.parametrize("call", OTHER_SHAPE)
def test_in1d_is_isin_only_on_request_where_its_shape_may_be_another(call):
    text = SHAPES + f"result = {call}\n"
    assert mended(text) == text
    assert mended(text, unsafe=True) == text.replace("in1d", "isin")


@pytest.mark.parametrize("text", UNTOUCHED.values(), ids=UNTOUCHED)
def test_what_cannot_be_mended_surely_is_left(text):
    assert mended(text) == text


# Programs whose old names are gone from the installed JAX: what they gave is written beside them.
PROGRAMS = [
    ("import jax\nresult = jax.tree_map(lambda x: 2 * x, [1, 2])\n", [2, 4]),
    ("import jax\nresult = jax.tree_multimap(lambda x, y: x + y, [1, 2], [3, 4])\n", [4, 6]),
    ("from jax import tree_leaves, jit\nresult = tree_leaves({'a': 1, 'b': (2, 3)})\n", [1, 2, 3]),
    ("import jax\nleaves, structure = jax.tree_flatten([1, [2]])\nresult = jax.tree_unflatten(structure, leaves)\n",
     [1, [2]]),
    ("import jax\nadd = jax.partial(lambda a, b: a + b, 2)\nresult = add(3)\n", 5),
    ("import jax, jax.numpy as jnp\nx = jnp.zeros((2, 2))\n"
     "result = jax.ops.index_update(x, jax.ops.index[0, :], 3.0).tolist()\n", [[3, 3], [0, 0]]),
    ("import jax, jax.numpy as jnp\nresult = jax.ops.index_add(jnp.ones(2), 1, 2.0).tolist()\n", [1, 3]),
    ("import jax, jax.numpy as jnp\nresult = jax.ops.index_mul(jnp.ones(2), 1, 2.0).tolist()\n", [1, 2]),
    ("import jax\nresult = jax.ops.index_add([1, 2], jax.ops.index[1:], 2).tolist()\n", [1, 4]),
    ("import jax\nplace = jax.ops.index[2]\nresult = place, jax.ops.index[1:, 0], jax.ops.index[...]\n",
     (2, (slice(1, None), 0), ...)),
    ("from jax.ops import index, index_update as put\nimport jax.numpy as jnp\n"
     "result = put(put(jnp.zeros(3), index[0], 1), 2, 5).tolist()\n", [1, 0, 5]),
    ("from jax.config import config\nresult = config.jax_debug_infs\n", False),
    ("from jax.experimental import optimizers\nresult = optimizers.constant(0.5)(3)\n", 0.5),
    ("import jax.experimental.optimizers\nresult = jax.experimental.optimizers.constant(0.5)(3)\n", 0.5),
    ("import jax\nresult = jax.experimental.optimizers.constant(0.5)(3)\n", 0.5),
    ("import jax.numpy as jnp\nresult = jnp.in1d(jnp.array([1, 2]), jnp.array([2])).tolist()\n", [False, True]),
    ("import jax.numpy as jnp\nresult = float(jnp.trapz(jnp.array([1.0, 2.0])))\n", 1.5),
    ("import jax.numpy as jnp\nresult = jnp.row_stack([jnp.ones(1), jnp.ones(1)]).tolist()\n", [[1], [1]]),
    ("import jax.numpy as jnp\nresult = bool(jnp.alltrue(jnp.ones(2)))\n", True),
    ("import jax.numpy as jnp\nresult = bool(jnp.sometrue(jnp.zeros(2)))\n", False),
    ("import jax.numpy as jnp\nresult = float(jnp.product(jnp.full(3, 2.0)))\n", 8.0),
    ("import jax.numpy as jnp\nresult = jnp.cumproduct(jnp.full(3, 2.0)).tolist()\n", [2, 4, 8]),
    ("import jax.numpy as jnp\nresult = float(jnp.round_(1.26, 1))\n", pytest.approx(1.3)),
    ("import jax.numpy as jnp\nresult = float(2 ** jnp.NINF)\n", 0.0),
    ("import jax.numpy as jnp\nresult = jnp.clip(jnp.arange(4), a_min=1, a_max=2).tolist()\n", [1, 1, 2, 2]),
    ("import optax\nt = optax.additive_weight_decay(0.5)\nimport jax.numpy as jnp\nw = jnp.ones(1)\n"
     "result = float(t.update(w, t.init(w), w)[0][0])\n", 1.5),
    ("import jax, numpy as np, jax.numpy as jnp\nfrom jax.experimental.shard_map import shard_map\n"
     "mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ('i',))\nspec = jax.sharding.PartitionSpec('i')\n"
     "result = shard_map(lambda x: 2 * x, mesh, spec, out_specs=spec, check_rep=False)(jnp.ones(2)).tolist()\n",
     [2, 2]),
    ("from jax.experimental.pjit import pjit\nresult = int(pjit(lambda x: x + 1)(1))\n", 2),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), PROGRAMS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_mended_program_computes_what_the_old_one_did(text, expected):
    after = mended(text)
    assert after != text
    found: dict = {}
    exec(compile(after, "after", "exec"), found)
    assert found["result"] == expected
