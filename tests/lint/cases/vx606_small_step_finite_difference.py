"""VX606 small-step-finite-difference: the step drowns in the rounding of single precision."""
import jax
import jax.numpy as jnp
import numpy as np


def objective(x):
    return jnp.sum(jnp.sin(x) ** 2)


def central(f, x, eps=1e-5):
    return jnp.asarray((f(x + eps) - f(x - eps)) / (2 * eps))  # expect: VX606


def forward(x):
    h = 1e-6
    return (objective(x + h) - objective(x)) / h  # expect: VX606


def literal(x):
    return (objective(x + 1e-5) - objective(x - 1e-5)) / 2e-5  # expect: VX606


def by_names(params, direction):
    step = 1e-4
    up = jax.tree.map(lambda p, d: p + step * d, params, direction)
    down = jax.tree.map(lambda p, d: p - step * d, params, direction)
    plus, minus = objective(up), objective(down)
    return (plus - minus) / (2 * step)  # expect: VX606


def one_place(x, i, *, epsilon=1e-5):
    above = float(objective(x.at[i].add(epsilon)))
    below = float(objective(x.at[i].add(-epsilon)))
    return (above - below) / (2.0 * epsilon)  # expect: VX606


def large_step(x, eps=5e-3):
    return (objective(x + eps) - objective(x - eps)) / (2 * eps)


def unknown_step(x, eps):
    return (objective(x + eps) - objective(x - eps)) / (2 * eps)


def on_the_host(f, x, eps=1e-6):
    x = np.asarray(x)
    return (f(x + eps) - f(x - eps)) / (2 * eps)


def plain_python(f, x, eps=1e-6):
    return (f(x + eps) - f(x - eps)) / (2 * eps)


def relative(x, y, eps=1e-6):
    return (objective(x) - objective(y)) / (objective(y) + eps), (objective(x) - objective(y)) / eps


def normalised(x, eps=1e-6):
    return (jnp.max(x) - jnp.min(x)) / 1e-5
