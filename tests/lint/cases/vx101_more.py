"""VX101 key-reuse: further forms, and look-alikes."""
import functools
from dataclasses import dataclass
from typing import NamedTuple

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import jax.random as jr
from flax import linen as nn
from flax import nnx
from jax import random as jrandom
from jax.nn import initializers

draw = jr.normal


async def in_async(key, shape):
    a = jr.normal(key, shape)
    b = jr.gumbel(key, shape)  # expect: VX101
    return a, b


def by_keyword(key, shape):
    a = jr.normal(shape=shape, key=key)
    return a + jr.laplace(key=key, shape=shape)  # expect: VX101


def aliased_function(key, shape):
    a = draw(key, shape)
    return a + draw(key, shape)  # expect: VX101


def made_here(seed, shape):
    k = jr.key(seed)
    a = jr.normal(k, shape)
    b = jr.uniform(k, shape)  # expect: VX101
    return a, b


def same_index(key, shape):
    ks = jr.split(key, 3)
    a = jr.normal(ks[0], shape)
    b = jr.normal(ks[0], shape)  # expect: VX101
    return a, b, ks[1]


def same_computed_index(keys, i, shape):
    a = jr.normal(keys[i], shape)
    b = jr.uniform(keys[i], shape)  # expect: VX101
    return a, b


def walrus(seed, shape):
    a = jr.normal(k := jr.key(seed), shape)
    return a + jr.normal(k, shape)  # expect: VX101


def matched(key, kind, shape):
    match kind:
        case "normal":
            x = jr.normal(key, shape)
        case "uniform":
            x = jr.uniform(key, shape)
        case _:
            x = jnp.zeros(shape)
    return x + jr.normal(key, shape)  # expect: VX101


def in_try(key, shape):
    try:
        a = jr.normal(key, shape)
    finally:
        print("done")
    return a + jr.uniform(key, shape)  # expect: VX101


def in_with(key, shape):
    with jax.named_scope("noise"):
        a = jr.normal(key, shape)
    return a + jr.uniform(key, shape)  # expect: VX101


class Sampler:
    def __init__(self, key):
        self.key = key

    def two(self, shape):
        a = jr.normal(self.key, shape)
        b = jr.uniform(self.key, shape)  # expect: VX101
        return a, b

    def refreshed(self, shape):
        self.key, sub = jr.split(self.key)
        a = jr.normal(sub, shape)
        self.key, sub = jr.split(self.key)
        return a + jr.normal(sub, shape)


class Counted:
    def __init__(self, key):
        self.key = key

    def next(self):
        self.key, sub = jr.split(self.key)
        return sub

    def two(self, shape):
        a = jr.normal(self.next(), shape)
        b = jr.normal(self.next(), shape)
        return a, b


class Computed:
    @property
    def key(self):
        return jr.key(next(self.seeds))

    def two(self, shape):
        return jr.normal(self.key, shape), jr.normal(self.key, shape)


def _noise(key, shape):
    return jr.normal(key, shape)


def _folds(key, step):
    return jr.fold_in(key, step)


def _looks(key):
    return key.shape


def through_helper(key, shape):
    a = _noise(key, shape)
    return a + _noise(key, shape)  # expect: VX101


def through_partial(key, shape):
    noise = functools.partial(_noise, shape=shape)
    a = noise(key)
    return a + noise(key)  # expect: VX101


def through_jit(key, shape):
    a = jax.jit(_noise, static_argnums=1)(key, shape)
    return a + jr.normal(key, shape)  # expect: VX101


def helper_that_folds(key, shape):
    a = jr.normal(_folds(key, 0), shape)
    b = jr.normal(_folds(key, 1), shape)
    return a + b + jr.normal(key, shape)


def helper_that_looks(key, shape):
    _looks(key)
    return jr.normal(key, shape)


def star_args(key, args):
    a = jr.normal(key, *args)
    b = jr.uniform(key, *args)  # expect: VX101
    return a, b


def starred_names(key, shape):
    first, *others = jr.split(key, 4)
    a = jr.normal(first, shape)
    b = jr.normal(first, shape)  # expect: VX101
    return a, b, others


def carry(state, shape):
    (x, (k, step)) = state
    a = jr.normal(k, shape)
    b = jr.normal(k, shape)  # expect: VX101
    return x + a + b, step


class State(NamedTuple):
    value: jax.Array
    rng: jax.Array


def field_twice(state: State, shape):
    a = jr.normal(state.rng, shape)
    b = jr.normal(state.rng, shape)  # expect: VX101
    return a, b


def field_replaced(state: State, shape):
    a = jr.normal(state.rng, shape)
    state = state._replace(rng=jr.fold_in(state.rng, 1))
    b = jr.normal(state.rng, shape)
    return a, b


def nested_function(key, shape):
    a = jr.normal(key, shape)

    def inner(x):
        return x + jr.normal(key, shape)  # expect: VX101

    return inner(a)


def inside_nested(key):
    def inner(x):
        a = jr.normal(key, x.shape)
        return a + jr.uniform(key, x.shape)  # expect: VX101

    return inner


def layers(key):
    one = eqx.nn.Linear(3, 4, key=key)
    two = eqx.nn.Linear(4, 2, key=key)  # expect: VX101
    return one, two


def initialized(key):
    w = initializers.lecun_normal()(key, (3, 4))
    v = nn.initializers.normal(0.1)(key, (4,))  # expect: VX101
    return w, v


def vmapped(key, n):
    keys = jr.split(key, n)
    a = jax.vmap(jr.normal)(keys)
    b = jax.vmap(lambda k: jr.uniform(k))(keys)  # expect: VX101
    return a, b


def in_lambda(key, shape):
    f = lambda k: jr.normal(k, shape) + jr.uniform(k, shape)  # expect: VX101
    return f(key)


def one_way_only(key, flag, shape):
    x = jr.normal(key, shape)
    if flag:
        key = jr.fold_in(key, 1)
    return x + jr.normal(key, shape)  # expect: VX101


def default_made(key=None, shape=()):
    if key is None:
        key = jr.key(0)
    a = jr.normal(key, shape)
    return a + jr.normal(key, shape)  # expect: VX101


# What must stay silent.


def rebound_in_branch(key, flag, shape):
    if flag:
        key, sub = jr.split(key)
        x = jr.normal(sub, shape)
    else:
        x = jnp.zeros(shape)
    return x + jr.normal(key, shape)


def same_test_twice(key, train, shape):
    x = jnp.zeros(shape)
    if train:
        x = x + jr.normal(key, shape)
    y = x * 2
    if not train:
        y = y + jr.uniform(key, shape)
    return y


def by_kind(key, kind, shape):
    x = jnp.zeros(shape)
    if kind == "normal":
        x = jr.normal(key, shape)
    if kind == "uniform":
        x = jr.uniform(key, shape)
    return x


def raises(key, n, shape):
    if n < 0:
        x = jr.normal(key, shape)
        raise ValueError(x)
    return jr.uniform(key, shape)


def fallback(key, shape):
    try:
        return jr.orthogonal(key, shape)
    except NotImplementedError:
        return jr.normal(key, shape)


def paired(key, images, labels):
    images = jr.permutation(key, images)
    labels = jr.permutation(key, labels)
    return images, labels


def _random_crop(key, image, size):
    return jax.lax.dynamic_slice(image, jr.randint(key, (2,), 0, 4), size)


def joint_crop(key, image, mask, size):
    return _random_crop(key, image, size), _random_crop(key, mask, size)


def stateful(rngs: nnx.Rngs, shape):
    return jr.normal(rngs.noise(), shape), jr.normal(rngs.noise(), shape)


def sequence(seed, shape):
    rng = hk.PRNGSequence(seed)
    return jr.normal(next(rng), shape) + jr.normal(next(rng), shape)


def haiku_keys(shape):
    return jr.normal(hk.next_rng_key(), shape) + jr.normal(hk.next_rng_key(), shape)


def asserted(key, shape):
    assert_is_key(key)  # noqa: F821
    check_key(key)  # noqa: F821
    jax.debug.print("{}", key)
    return jr.normal(key, shape)


def cond_branches(key, pred, x):
    return jax.lax.cond(pred, lambda v: v + jr.normal(key), lambda v: v + jr.uniform(key), x)


def cond_operands(key, pred):
    def yes(k):
        return jr.normal(k)

    def no(k):
        return jr.uniform(k)

    return jax.lax.cond(pred, yes, no, key)


def only_shapes(model, key, x):
    shapes = jax.eval_shape(lambda: model.init(key, x))
    return shapes, jr.normal(key, x.shape)


def cloned(key, shape):
    a = jr.normal(key, shape)
    return a, jr.normal(jr.clone(key), shape)


def dict_key(table, key, shape):
    a = table[key]
    b = table.get(key)
    return a, b, [jnp.zeros(shape) for key in table]


def test_two_ways_agree(key):
    a = jr.normal(key, (3,))
    b = jax.jit(lambda k: jr.normal(k, (3,)))(key)
    assert (a == b).all()


def comprehension_scope(key, shape):
    a = [jr.normal(key, shape) for key in jr.split(key, 3)]
    return a


def deleted_and_made(key, shape):
    a = jr.normal(key, shape)
    del key
    key = jr.key(1)
    return a + jr.normal(key, shape)


def counter(key):
    def fresh():
        nonlocal key
        key, sub = jr.split(key)
        return sub

    return jr.normal(fresh()), jr.normal(fresh()), jr.normal(key), jr.normal(key)


@dataclass
class Kept:
    key: jax.Array


def stored(key, shape):
    kept = Kept(key)
    print(kept)
    return jr.normal(key, shape)


def or_else(key, cached, shape):
    return cached or jr.normal(key, shape)


def either_end(key, flag, shape):
    if flag:
        out = jr.normal(key, shape)
    elif shape:
        out = jr.uniform(key, shape)
    else:
        out = jrandom.gumbel(key, shape)
    return out


def evaluated_then_trained(key, model, batches):
    for batch in batches:
        key, sub = jr.split(key)
        model.train(sub, batch)
        model.evaluate(key, batch)
    return model


# Given only to calls of which nothing is known: a note, where it certainly is a key.


def two_unknown(model, policy, x):
    key = jr.key(0)
    params = model.init(key, x)
    return policy.start(key, params)  # expect: VX101


def two_unknown_names(model, policy, key, x):
    params = model.init(key, x)
    return policy.start(key, params)


def quoted_stateful(rngs: "nnx.Rngs", generator: "np.random.Generator | None", shape):
    return jr.normal(rngs, shape), jr.normal(rngs, shape), jr.bits(generator), jr.bits(generator)


def quoted_key(draw: "jax.Array", shape: "tuple[int, ...]"):
    return jr.normal(draw, shape), jr.normal(draw, shape)  # expect: VX101


def noise_twice(key, x):
    def noise():
        return 0.1 * jr.normal(key, x.shape)

    return x + noise() - noise()  # expect: VX101


def sampled_twice():
    key = jr.key(0)
    sample = lambda: jr.uniform(key, (3,))  # noqa: E731
    first = sample()
    second = sample()  # expect: VX101
    return first, second


def noise_with_new_keys(key, x):
    noise = lambda: jr.normal(sub, x.shape)  # noqa: E731
    key, sub = jr.split(key)
    first = noise()
    key, sub = jr.split(key)
    return first, noise()


def noise_of_new_keys(key, shape):
    def noise():
        return jr.normal(key, shape)

    first = noise()
    key = jr.fold_in(key, 1)
    return first, noise()


def noise_on_one_way(key, shape, flag):
    def noise():
        return jr.normal(key, shape)

    if flag:
        return noise()
    return -noise()


def noise_of_other_arrays(key, x):
    def noise():
        return jr.normal(key, x.shape)

    a = noise()
    x = x[1:]
    return a, noise()


def noise_of_an_argument(key, x):
    def noise(scale):
        return scale * jr.normal(key, x.shape)

    return noise(1.0), noise(2.0)


def the_same_start(key, shape):
    def init():
        return jr.normal(key, shape)

    return init(), init()


def compared(key, shape):
    def noise():
        return jr.normal(key, shape)

    noise()
    noise().block_until_ready()
    print(noise())
    assert jnp.array_equal(noise(), noise())
    return noise() == noise()


def noise_that_counts(counter, shape):
    def noise():
        return jr.normal(jr.fold_in(counter.key, counter.next()), shape)

    return noise(), noise()


def noise_of_a_state(key, model):
    def noise():
        return model.scale * jr.normal(key, (3,))

    return noise(), noise()


SHARED = jr.key(1)


def advance():
    global SHARED
    SHARED = jr.fold_in(SHARED, 1)


def shared_noise():
    return jr.normal(SHARED, (3,))


def noise_of_a_shared_key():
    first = shared_noise()
    advance()
    return first, shared_noise()


def key_in_a_dictionary(seed):
    w_key, b_key = jax.random.split(jax.random.key(seed))
    keys = {"w": w_key, "b": b_key}
    w = jax.random.normal(keys["w"], (2, 2))
    return w, jax.random.normal(keys["w"], (2,))  # expect: VX101


def keys_in_a_dictionary(seed):
    w_key, b_key = jax.random.split(jax.random.key(seed))
    keys = {"w": w_key, "b": b_key}
    return jax.random.normal(keys["w"], (2, 2)), jax.random.normal(keys["b"], (2,))


def key_taken_out_and_put_back(key):
    first, second = jax.random.split(key)
    keys = {"a": first}
    x = jax.random.normal(keys.pop("a"))
    keys.update(a=second)
    return x + jax.random.normal(keys["a"])


def key_renewed_in_its_place(key, n):
    keys = {"noise": key}
    for _ in range(n):
        keys["noise"], sub = jax.random.split(keys["noise"])
        yield jax.random.normal(sub)


def shuffled_alike_by_a_helper(key, inputs, targets):
    def shuffled(x, key):
        return jax.random.permutation(key, x).reshape(2, -1)

    batches = jax.tree.map(lambda x: shuffled(x, key), inputs)
    return batches, jax.random.permutation(key, targets)


def shuffled_and_drawn(key, inputs):
    def shuffled(x, key):
        return jax.random.permutation(key, x).reshape(2, -1)

    batches = shuffled(inputs, key)
    return batches, jax.random.normal(key, (3,))  # expect: VX101
