"""Operations that go wrong on some inputs, in networks of five kinds, forward and backward; and what is to be said.

A fault is a function of the hidden features (rows, 4) that is given to a network; a mark `# FAULT name` stands at the
line that is to be named. All matrices are identities, so that the features are the inputs.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import nnx

import verax as vx
from verax.data import Batch

ROWS, WIDTH, CLASSES = 6, 4, 3
FILE = str(Path(__file__))


class Linen(nn.Module):
    fault: Any

    @nn.compact
    def __call__(self, x):
        return nn.Dense(CLASSES, name="out")(self.fault(nn.Dense(WIDTH, name="hidden")(x)))


class Nnx(nnx.Module):
    def __init__(self, fault, rngs):
        self.hidden = nnx.Linear(WIDTH, WIDTH, rngs=rngs)
        self.fault = fault
        self.out = nnx.Linear(WIDTH, CLASSES, rngs=rngs)

    def __call__(self, x):
        return self.out(self.fault(self.hidden(x)))


class Equinox(eqx.Module):
    """Takes one row, as Equinox's layers do; the fault is given a batch of one."""

    hidden: eqx.nn.Linear
    out: eqx.nn.Linear
    fault: Any = eqx.field(static=True)

    def __init__(self, fault, key):
        self.hidden = eqx.nn.Linear(WIDTH, WIDTH, key=key)
        self.out = eqx.nn.Linear(WIDTH, CLASSES, key=key)
        self.fault = fault

    def __call__(self, x):
        return self.out(self.fault(self.hidden(x)[None])[0])


def haiku(fault):
    def network(x):
        return hk.Linear(CLASSES, name="out")(fault(hk.Linear(WIDTH, name="hidden")(x)))

    return hk.transform(network)


def functions(fault):
    def init(key, x):
        return {"hidden": {"kernel": jnp.zeros((WIDTH, WIDTH))}, "out": {"kernel": jnp.zeros((WIDTH, CLASSES))}}

    def apply(params, x):
        return fault(x @ params["hidden"]["kernel"]) @ params["out"]["kernel"]

    return init, apply


def network(kind, fault):
    made = {
        "linen": lambda: Linen(fault),
        "nnx": lambda: functools.partial(Nnx, fault),
        "haiku": lambda: haiku(fault),
        "equinox": lambda: functools.partial(Equinox, fault),
        "functions": lambda: functions(fault),
    }
    return vx.as_network(made[kind]())


def variables(net):
    """Identities for matrices, zeros for biases: nothing is drawn or compiled."""
    shapes = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((ROWS, WIDTH)))
    return jax.tree.map(lambda leaf: jnp.eye(*leaf.shape) if leaf.ndim == 2 else jnp.zeros(leaf.shape), shapes)


def line_of(name):
    lines = Path(FILE).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if f"# FAULT {name}" in line)


# Faults, forward.


def log_of_relu(h):
    h = jax.nn.relu(h)
    return jnp.log(h)  # FAULT log_of_relu


def log_of_one_minus(h):
    return jnp.log1p(-h)  # FAULT log_of_one_minus


def one_over(h):
    return 1.0 / h  # FAULT one_over


def over_its_norm(h):
    norm = jnp.sqrt(jnp.sum(h * h, axis=1, keepdims=True))
    return h / norm  # FAULT over_its_norm


def own_softmax(h):
    e = jnp.exp(h)  # FAULT own_softmax
    return e / jnp.sum(e, axis=1, keepdims=True)


def root_of_negative(h):
    variance = jnp.mean(h, axis=1, keepdims=True)
    return h * jnp.sqrt(variance)  # FAULT root_of_negative


def growing(h):
    def step(carry, row):
        carry = jnp.exp(0.5 * carry) * row  # FAULT growing
        return carry, carry

    return jax.lax.scan(step, jnp.ones(h.shape[1]), h)[1]


def running_ratio(h):
    def step(total, row):
        total = total + row
        ratio = row / total  # FAULT running_ratio
        return total, ratio

    return jax.lax.scan(step, jnp.zeros(h.shape[1]), h, reverse=True)[1]


def each_row_log(h):
    def one(row):
        return jnp.log(jnp.max(row)) * row  # FAULT each_row_log

    return jax.vmap(one)(h)


def half_square(h):
    half = h.astype(jnp.float16)
    return jnp.square(half).astype(jnp.float32)  # FAULT half_square


def attention(h):
    scores = h @ h.T
    allowed = h[:, :1] >= h[:, 0][None]
    scores = jnp.where(allowed, scores, -jnp.inf)  # FAULT attention
    return jax.nn.softmax(scores) @ h


def own_norm(h):
    centred = h - h.mean(axis=1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.mean(centred**2, axis=1, keepdims=True))  # FAULT own_norm


def own_power(h):
    return h**0.3  # FAULT own_power


@jax.checkpoint
def kept_log(h):
    return jnp.log(jnp.abs(h))  # FAULT kept_log


@jax.jit
def chosen(h):
    def scaled(x):
        return x / jnp.sum(x, axis=1, keepdims=True)  # FAULT chosen

    return jax.lax.cond(h[0, 0] > 0, lambda x: x, scaled, h)


def until_large(h):
    def more(carry):
        return (carry[1] < 30) & jnp.all(jnp.isfinite(carry[0]))

    def step(carry):
        return jnp.square(carry[0]), carry[1] + 1  # FAULT until_large

    return h + jax.lax.stop_gradient(jax.lax.while_loop(more, step, (h, 0))[0])


# Faults, backward: the loss is finite.


def guarded_root(h):
    return jnp.where(h > 0, jnp.sqrt(h), 0.0)  # FAULT guarded_root


def guarded_unit(h):
    norm = jnp.sum(h * h, axis=1, keepdims=True)
    return jnp.where(norm > 0, h / norm, 0.0)  # FAULT guarded_unit


def guarded_log(h):
    return jnp.where(h > 0, h * jnp.log(h), 0.0)  # FAULT guarded_log


def own_softplus(h):
    return jnp.where(h > 20, h, jnp.log1p(jnp.exp(h)))  # FAULT own_softplus


def length(h):
    return h + jnp.linalg.norm(h, axis=1, keepdims=True)  # FAULT length


def deviation(h):
    return h + jnp.std(h, axis=1, keepdims=True)  # FAULT deviation


def fractional(h):
    return jnp.abs(h) ** 0.5  # FAULT fractional


def angle(h):
    def one(row):
        return jnp.arccos(row)  # FAULT angle

    return jax.vmap(one)(h)


def root_in_scan(h):
    def step(carry, row):
        carry = jnp.sqrt(row) + 0.5 * carry  # FAULT root_in_scan
        return carry, carry

    return jax.lax.scan(step, jnp.ones(h.shape[1]), h)[1]


@jax.custom_vjp
def own_abs(h):
    return jnp.abs(h)


own_abs.defvjp(lambda h: (jnp.abs(h), h), lambda h, cotangent: (cotangent * h / jnp.abs(h),))


def own_derivative(h):
    return own_abs(h)  # FAULT own_derivative (JAX places a hand-written derivative where its function is called)


@dataclass(frozen=True)
class Case:
    """A fault in a network, the features that set it off, and what is to be said of it."""

    kind: str
    fault: Any
    bad: float
    operation: str
    id: str
    phase: str = "forward"
    whole_row: bool = False
    healthy: float = 0.5

    def inputs(self, bad):
        """Healthy features, which add up exactly, and those of row 2 (one, or all four) bad."""
        x = np.full((ROWS, WIDTH), self.healthy, np.float32) + np.arange(ROWS * WIDTH).reshape(ROWS, WIDTH) / 64
        if bad:
            x[2, slice(None) if self.whole_row else 1] = self.bad
        return x.astype(np.float32)

    def call(self, bad=True):
        """The loss, its parameters and its batch, as `find_nonfinite` takes them."""
        net = network(self.kind, self.fault)
        state, bound = variables(net), vx.regression().bind(net)

        def loss(params, batch):
            value = bound(state._replace(params=params), batch, None, True)
            return value.total / value.weight

        batch = Batch(jnp.asarray(self.inputs(bad)), jnp.ones((ROWS, CLASSES)), jnp.ones(ROWS))
        return loss, state.params, batch

    def __str__(self):
        return f"{self.kind}-{self.fault.__name__}"


CASES = [
    Case("linen", log_of_relu, -1.0, "log", "log-of-zero"),
    Case("nnx", log_of_one_minus, 1.0, "log1p", "log-of-zero", healthy=0.1),
    Case("haiku", one_over, 0.0, "division", "division-by-zero"),
    Case("equinox", over_its_norm, 0.0, "division", "division-by-zero", whole_row=True),
    Case("functions", own_softmax, 100.0, "exp", "exp-overflow"),
    Case("linen", root_of_negative, -9.0, "sqrt", "non-finite-loss"),
    Case("nnx", growing, 400.0, "exp", "exp-overflow"),
    Case("haiku", running_ratio, -2.296875, "division", "division-by-zero"),
    Case("equinox", half_square, 300.0, "square", "low-precision-overflow"),
    Case("functions", each_row_log, -0.5, "log", "log-of-zero", whole_row=True),
    Case("nnx", own_norm, 0.25, "1/sqrt", "division-by-zero", whole_row=True),
    Case("haiku", own_power, -0.5, "power", "non-finite-loss"),
    Case("equinox", kept_log, 0.0, "log", "log-of-zero"),
    Case("functions", chosen, 0.0, "division", "division-by-zero", whole_row=True, healthy=-1.0),
    Case("functions", until_large, 3.0, "square", "non-finite-loss", healthy=0.1),
    Case("linen", guarded_root, 0.0, "gradient of sqrt", "where-gradient-nan", "backward"),
    Case("nnx", guarded_unit, 0.0, "gradient of division", "where-gradient-nan", "backward", whole_row=True),
    Case("haiku", guarded_log, 0.0, "gradient of log", "where-gradient-nan", "backward"),
    Case("equinox", own_softplus, 100.0, "gradient of exp", "where-gradient-nan", "backward"),
    Case("functions", length, 0.0, "gradient of sqrt", "division-by-zero", "backward", whole_row=True),
    Case("linen", deviation, 0.25, "gradient of sqrt", "division-by-zero", "backward", whole_row=True),
    Case("nnx", fractional, 0.0, "gradient of power", "division-by-zero", "backward"),
    Case("haiku", root_in_scan, 0.0, "gradient of sqrt", "division-by-zero", "backward"),
    Case("equinox", angle, 1.0, "gradient of acos", "division-by-zero", "backward", healthy=0.1),
    Case("functions", own_derivative, 0.0, "division in the gradient", "division-by-zero", "backward"),
]
