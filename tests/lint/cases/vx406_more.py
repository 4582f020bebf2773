"""VX406 more: parts of Flax that are gone, and words that are others."""
import flax
import flax.optim as fopt  # expect: VX406
from flax import nn  # expect: VX406
from flax import linen, struct, traverse_util
from flax.linen import ConvLSTM  # expect: VX406
from flax.nn import Dense  # expect: VX406
from flax.optim import Momentum  # expect: VX406
from flax.training import checkpoints, common_utils
from torch import optim


def old_layer(x):
    return flax.nn.relu(x)  # expect: VX406


def current(x):
    return linen.relu(x), flax.linen.Dense(3), struct, traverse_util.flatten_dict({}), checkpoints, common_utils


def used():
    return fopt, nn, ConvLSTM, Dense, Momentum, optim.Adam


try:
    from flax import optim as maybe
except ImportError:
    maybe = None


def own(flax):
    return flax.optim.Adam
