"""Augmentation: pure functions of a key and a batch, run inside the compiled training step and never in evaluation."""

from verax.data.augment._augmentation import Augmentation, compose
from verax.data.augment._geometry import crop, flip, rotate, shift
from verax.data.augment._mixup import mixup
from verax.data.augment._values import cutout, noise

__all__ = ["Augmentation", "compose", "crop", "cutout", "flip", "mixup", "noise", "rotate", "shift"]
