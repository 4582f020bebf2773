"""VX514 missing-compact: more classes, helpers and decorators."""
import functools

import flax.linen as fnn
import jax
from flax import linen as nn
from flax import nnx
from flax.linen import Dense, Module, compact


class Imported(Module):
    def __call__(self, x):
        for _ in range(3):
            x = Dense(8)(x)  # expect: VX514
        return x


class Base(nn.Module):
    features: int = 3


class Derived(Base):
    def __call__(self, x):
        return Inner(self.features)(x)  # expect: VX514


class Inner(fnn.Module):
    features: int

    @fnn.compact
    def __call__(self, x):
        return fnn.Dense(self.features)(x)


class Helped(nn.Module):
    def __call__(self, x):
        return self._layers(x)

    def _layers(self, x):
        return nn.Sequential([nn.Dense(3), nn.relu])(x)  # expect: VX514


class Variable(nn.Module):
    async def __call__(self, x):
        count = self.variable("state", "count", lambda: 0)  # expect: VX514
        return x + count.value


class Lifted(nn.Module):
    @functools.partial(jax.named_call, name="call")
    @jax.named_scope("call")
    def __call__(self, x):
        return x


class Remat(nn.Module):
    def __call__(self, x):
        return nn.remat(Inner)(3)(x)  # expect: VX514


class CompactHelper(nn.Module):
    @nn.compact
    def __call__(self, x):
        return self._layers(x)

    def _layers(self, x):
        return nn.Dense(3)(x)


class CompactOther(Module):
    def setup(self):
        self.scale = self.param("scale", nn.initializers.ones, ())
        self.dense = nn.Dense(3)

    @compact
    def __call__(self, x):
        return Dense(8)(x) * self.scale


class Decorated(nn.Module):
    @jax.named_scope("call")
    @nn.compact
    def __call__(self, x):
        return nn.Dense(8)(x)


def compacted(method):
    return nn.compact(method)


class Unknown(nn.Module):
    @compacted
    def __call__(self, x):
        return nn.Dense(8)(x)


class Mixin(nn.Module):
    def encode(self, x):
        return nn.Dense(8)(x)


class WithMixin(Mixin):
    @nn.compact
    def __call__(self, x):
        return self.encode(x)


class Unbound(nn.Module):
    cell: nn.Module = None

    def __call__(self, x):
        return nn.Dense(8, parent=None), x

    @nn.nowrap
    def initialize_carry(self, key, shape):
        return nn.LSTMCell(8, parent=None).initialize_carry(key, shape)


class Nnx(nnx.Module):
    def __call__(self, x, rngs):
        return nnx.Linear(3, 3, rngs=rngs)(x)


class NotAModule:
    def __call__(self, x):
        return nn.Dense(8)


def function(x):
    return nn.Dense(8)(x)


class FlaxRaises:
    def test_without_compact(self):
        class Bare(nn.Module):
            def __call__(self, x):
                return nn.Dense(1)(x)

        with self.assertRaises(ValueError):
            Bare().init(None, 1.0)
