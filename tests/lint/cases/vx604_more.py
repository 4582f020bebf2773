"""VX604 nan-comparison: more ways to spell it."""
import math
import operator
from math import nan

import jax.numpy as jnp
import numpy
import numpy as onp

NAN = jnp.nan
missing = float("NaN")


def named(x):
    return x == NAN, x != missing  # expect: VX604


def imported(x):
    return x == nan  # expect: VX604


def turned(x):
    return numpy.nan == x  # expect: VX604


def negative(x):
    return -jnp.nan == x  # expect: VX604


def chained(x, y):
    return x == y == onp.nan  # expect: VX604


def by_function(x):
    return jnp.equal(x, jnp.nan), operator.ne(x, math.nan)  # expect: VX604


def typed(x):
    return x == jnp.float32("nan")  # expect: VX604


def member(x):
    special = [0.0, jnp.nan]
    return x not in special  # expect: VX604


def matched(x):
    match x:
        case math.nan:  # expect: VX604
            return 0.0
        case math.inf:
            return 1.0
    return x


async def walrus(xs):
    return [x for x in xs if (y := x) != onp.nan and y]  # expect: VX604


def right(x, nan):
    return x == nan, x is jnp.nan, x == float("inf"), x == "nan", jnp.isnan(x)


def shadowed(x):
    NAN = 0.0
    return x == NAN


def inside(x):
    return jnp.array([jnp.nan]) + x, x in {"nan": jnp.nan}, jnp.nan_to_num(x) == 0.0


def ordered(x):
    return x < jnp.inf, x in (0.0, 1.0)
