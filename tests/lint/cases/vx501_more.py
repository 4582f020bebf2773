"""VX501 missing-dropout-rng: more forms of models, flags and receivers."""
from functools import partial

import flax.linen as lnn
import jax
import optax
from flax import linen as nn
from flax.linen import Dropout, Module, compact
from flax.training import train_state


class Head(Module):
    rate: float = 0.2

    @compact
    def __call__(self, x, *, deterministic):
        return Dropout(rate=self.rate)(x, deterministic=deterministic)


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.Dense(8)(x)
        return Head()(x, deterministic=not train)


class Deep(nn.Module):
    def setup(self):
        self.blocks = [Block() for _ in range(3)]
        self.out = lnn.Dense(2)

    def __call__(self, x, train=False):
        for block in self.blocks:
            x = block(x, train)
        return self.out(x)


class Helped(nn.Module):
    @nn.compact
    def __call__(self, x, is_training: bool = True):
        return self._tail(nn.Dense(3)(x), is_training)

    def _tail(self, x, is_training):
        drop = nn.Dropout(0.5, deterministic=not is_training)
        return drop(x)


class Off(nn.Module):
    rate: float = 0.0

    @nn.compact
    def __call__(self, x, train=False):
        if self.rate > 0:
            x = nn.Dropout(self.rate, deterministic=not train)(x)
        return nn.Dense(2)(x)


class Separate(nn.Module):
    drop: bool = False

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train)(x)
        return nn.Dropout(0.5, deterministic=not self.drop)(x)


class Frozen(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dropout(0.5, deterministic=True)(nn.Dense(2)(x))


class Lifted(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return nn.remat(Block)()(x, train)


def make_model():
    return Deep()


deep = make_model()
helped = Helped()
state = train_state.TrainState.create(apply_fn=deep.apply, params={}, tx=optax.adam(1e-3))


def by_place(params, x):
    return deep.apply({"params": params}, x, True)  # expect: VX501


def by_default(params, x):
    return helped.apply({"params": params}, x)  # expect: VX501


def by_state(state, x):
    return state.apply_fn({"params": state.params}, x, train=True)  # expect: VX501


def empty_rngs(params, x):
    return deep.apply({"params": params}, x, train=True, rngs=None)  # expect: VX501


def walrus(params, x):
    if (net := Block()) is not None:
        return net.apply({"params": params}, x, train=True)  # expect: VX501


async def alias(params, x):
    forward = deep.apply
    return forward({"params": params}, x, train=True)  # expect: VX501


def jitted(params, x):
    forward = jax.jit(deep.apply, static_argnames="train")
    return forward({"params": params}, x, train=True)  # expect: VX501


def lifted(params, x):
    return [Lifted().apply({"params": params}, each, train=True) for each in x]  # expect: VX501


def with_rate(params, x):
    return Off(rate=0.3).apply({"params": params}, x, train=True)  # expect: VX501


class Trainer:
    def __init__(self):
        self.model = Deep()

    def loss(self, params, x):
        def inner(p):
            return self.model.apply({"params": p}, x, train=True).sum()  # expect: VX501

        return jax.grad(inner)(params)

    def score(self, params, x):
        return self.model.apply({"params": params}, x, train=False)


def without_rate(params, x):
    return Off().apply({"params": params}, x, train=True)


def other_flag(params, stats, x):
    variables = {"params": params, "batch_stats": stats}
    return Separate().apply(variables, x, train=True, mutable=["batch_stats"])


def frozen(params, x):
    return Frozen().apply({"params": params}, x, train=True)


def flag_unknown(params, x, train):
    return deep.apply({"params": params}, x, train=train)


def method_of_it(params, x):
    return deep.apply({"params": params}, x, method=lambda m, x: m.out(x))


def star(params, args, options):
    return deep.apply({"params": params}, *args), deep.apply({"params": params}, args, True, **options)


def given(deep, params, x):
    return deep.apply({"params": params}, x, train=True)


def rebound(params, x, wrap):
    model = Deep()
    model = wrap(model)
    return model.apply({"params": params}, x, train=True)


def in_evaluation(params, x):
    loss = partial(deep.apply, {"params": params})
    return loss(x)


class Sampled(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Sequential([nn.Dense(3), nn.Dropout(0.5, deterministic=not train)])(x)
        if train:
            x = x + jax.random.normal(self.make_rng("noise"), x.shape)
        return x


class OwnKey(nn.Module):
    @nn.compact
    def __call__(self, x, key, train=False):
        return nn.Dropout(0.5, deterministic=not train)(x, rng=key)


def noise(params, x):
    return Sampled().apply({"params": params}, x, train=True)  # expect: VX501


def no_noise(params, x, key):
    return Sampled().apply({"params": params}, x), OwnKey().apply({"params": params}, x, key, train=True)
