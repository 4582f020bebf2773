"""Networks written once, in Flax Linen: plain modules that work in any loop, drawn as suits their activation."""

from verax.models._activation import ACTIVATIONS, GLOROT, HE, LECUN, Activation, Scheme, initial_scheme, kernel_init
from verax.models._attention import Attention, Block
from verax.models._convnet import ConvNet
from verax.models._dropout import Dropout
from verax.models._mlp import MLP
from verax.models._resnet import ResidualBlock, ResNet
from verax.models._transformer import Transformer

__all__ = [
    "MLP",
    "ConvNet",
    "ResNet",
    "Transformer",
    "Dropout",
    "ResidualBlock",
    "Attention",
    "Block",
    "Activation",
    "ACTIVATIONS",
    "Scheme",
    "initial_scheme",
    "kernel_init",
    "HE",
    "LECUN",
    "GLOROT",
]
