"""VX102 key-reuse-in-loop: further forms, and look-alikes."""
import itertools

import jax
import jax.numpy as jnp
from jax import random as jr


def dict_comprehension(key, shapes):
    return {name: jr.normal(key, shape) for name, shape in shapes.items()}  # expect: VX102


def generator(key, shapes):
    return sum(jr.normal(key, shape).sum() for shape in shapes)  # expect: VX102


async def async_loop(key, batches):
    async for batch in batches:
        yield batch + jr.normal(key, batch.shape)  # expect: VX102


def nested_loops(key, rows, columns):
    out = []
    for row in rows:
        key, sub = jr.split(key)
        for column in columns:
            out.append(row * column * jr.normal(sub))  # expect: VX102
    return out


def split_without_rebinding(key, n):
    out = []
    for _ in range(n):
        use, rest = jr.split(key)  # expect: VX102
        out.append((jr.normal(use), rest))
    return out


def forever(key, queue):
    while True:
        item = queue.get()
        if item is None:
            break
        queue.put(item + jr.normal(key))  # expect: VX102


def in_a_branch(key, batches, train):
    out = []
    for batch in batches:
        if train:
            batch = batch + jr.normal(key, batch.shape)  # expect: VX102
        else:
            batch = batch * jr.uniform(key, batch.shape)  # expect: VX102
        out.append(batch)
    return out


def _noise(key, x):
    return x + jr.normal(key, x.shape)


def _step_noise(key, step, x):
    return x + jr.normal(jr.fold_in(key, step), x.shape)


def through_helper(key, batches):
    return [_noise(key, batch) for batch in batches]  # expect: VX102


def helper_folds(key, batches):
    return [_step_noise(key, step, batch) for step, batch in enumerate(batches)]


class Trainer:
    def __init__(self, key):
        self.key = key

    def fit(self, batches):
        total = 0.0
        for batch in batches:
            total += jr.bernoulli(self.key, 0.5, batch.shape).sum()  # expect: VX102
        return total

    def fit_well(self, batches):
        total = 0.0
        for batch in batches:
            self.key, sub = jr.split(self.key)
            total += jr.bernoulli(sub, 0.5, batch.shape).sum()
        return total


def shuffled_epochs(key, data, epochs):
    for _ in range(epochs):
        order = jr.permutation(key, len(data))  # expect: VX102
        yield data[order]


def one_index(key, n):
    keys = jr.split(key, n)
    return [jr.normal(keys[0], (2,)) for _ in range(n)]  # expect: VX102


# What must stay silent.


def zipped(key, batches):
    for batch, sub in zip(batches, jr.split(key, len(batches))):
        yield batch + jr.normal(sub, batch.shape)


def enumerated(key, n):
    for i, k in enumerate(jr.split(key, n)):
        yield i, jr.normal(k)


def counted_by_while(key, n):
    keys, i, out = jr.split(key, n), 0, []
    while i < n:
        out.append(jr.normal(keys[i]))
        i += 1
    return out


def counted_from_end(key, n):
    keys = jr.split(key, n)
    return [jr.normal(keys[n - i - 1]) for i in range(n)]


def first_that_fits(key, options):
    for option in options:
        x = jr.normal(key, (option,))
        break
    else:
        x = jnp.zeros(())
    return x


def returns_after(key, options):
    for option in options:
        if option:
            x = jr.normal(key)
            return x
    return None


def next_of(key, options):
    return next(jr.normal(key, (each,)) for each in options if each)


def popped(key, n):
    keys = list(jr.split(key, n))
    return [jr.normal(keys.pop()) for _ in range(n)]


def folded_then_used(key, n):
    out = []
    for step in itertools.count():
        step_key = jr.fold_in(key, step)
        out.append(jr.normal(step_key))
        if step > n:
            break
    return out


def carried(state, n):
    for _ in range(n):
        use, rng = jr.split(state.rng)
        state = state.replace(rng=rng, x=state.x + jr.normal(use))
    return state


def from_seed(n):
    for seed in range(n):
        key = jr.key(seed)
        yield jr.normal(key)


def defined_in_loop(key, n):
    fns = []
    for i in range(n):
        fns.append(lambda x, i=i: x + jr.normal(jr.fold_in(key, i)))
    return fns


def evaluated(eval_key, batches):
    return [batch + jr.normal(eval_key, batch.shape) for batch in batches]


def crops(key, views):
    def random_crop(k, view):
        return view[jr.randint(k, (), 0, 4) :]

    return {name: random_crop(key, view) for name, view in views.items()}


def test_dtypes(key):
    for dtype in (jnp.float32, jnp.bfloat16):
        assert jr.normal(key, (3,), dtype).dtype == dtype


def single(key, x):
    for scale in (1.0,):
        x = x + scale * jr.normal(key)
    return x


def generators(generator, n):
    return [generator.normal() for _ in range(n)]


def noise_in_a_loop(key, batches):
    def noise():
        """Returns noise."""
        return jr.normal(key, (3,))

    total = 0.0
    for batch in batches:
        total += batch + noise()  # expect: VX102
    return total, [noise() for _ in batches]  # expect: VX102


def noise_of_a_split_key(key, batches):
    noise = lambda: jr.normal(sub, (3,))  # noqa: E731
    for batch in batches:
        key, sub = jr.split(key)
        yield batch + noise()


def noise_in_a_stopwatch(key, timer):
    def noise():
        return jr.normal(key, (3,))

    for _ in range(10):
        noise().block_until_ready()
        with timer:
            noise()
