"""VX505 dropout-constant-mode: more forms."""
from functools import partial

import flax.linen as fnn
from flax import linen as nn
from flax import nnx
from flax.linen import BatchNorm, Dropout, Module


class Setup(Module):
    training: bool = False

    def setup(self):
        self.drop = Dropout(0.3, deterministic=False)  # expect: VX505
        self.late = Dropout(0.3)
        self.norm = BatchNorm(use_running_average=False, momentum=0.9)  # expect: VX505

    def __call__(self, x):
        return self.norm(self.late(self.drop(x), deterministic=False))  # expect: VX505


class Base(nn.Module):
    pass


class Derived(Base):
    @nn.compact
    def __call__(self, x, *, train):
        norm = partial(fnn.BatchNorm, use_running_average=False)  # expect: VX505
        layers = [nn.Dropout(rate=r, deterministic=False) for r in (0.1, 0.2)]  # expect: VX505
        for layer in layers:
            x = layer(norm()(x))
        return x


class Attention(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.SelfAttention(num_heads=2, dropout_rate=0.1, deterministic=False)(x)  # expect: VX505


class NoRate(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.SelfAttention(num_heads=2, deterministic=False)(x)
        return nn.Dropout(0.0, deterministic=False)(x)


class Field(nn.Module):
    deterministic: bool = False

    @nn.compact
    def __call__(self, x):
        return nn.Dropout(0.1, deterministic=self.deterministic)(x)


class Given(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        deterministic = not train
        return nn.Dropout(0.1)(x, deterministic=deterministic)


class OtherCall(nn.Module):
    @nn.compact
    def __call__(self, x, sample):
        return sample(x, deterministic=False)


class Stateful(nnx.Module):
    def __init__(self, rngs):
        self.drop = nnx.Dropout(0.5, deterministic=False, rngs=rngs)


def outside(x):
    return nn.Dropout(0.5, deterministic=False)


class Branches(nn.Module):
    @nn.compact
    def __call__(self, x, train, deterministic):
        if train:
            x = nn.Dropout(0.1, deterministic=False)(x)
        if not deterministic and x.ndim > 1:
            x = nn.Dropout(0.1)(x, deterministic=False)
        return nn.Dropout(0.1, deterministic=False)(x)  # expect: VX505


class Early(nn.Module):
    @nn.compact
    def __call__(self, x, training):
        x = nn.Dense(8)(x)
        if not training:
            return x
        return nn.Dropout(0.1, deterministic=False)(x)


def test_masks_differ():
    class Noisy(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dropout(0.5, deterministic=False)(x)

    assert Noisy is not None
