"""Axes of images and series against the axes that a convolution takes them for."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject
from verax.findings import Finding
from verax.jaxpr import equations

FEW = (1, 2, 3, 4)  # channels of a picture: grey, with alpha, colours
LONG = 8  # an axis with fewer places is too short to be told from channels
SMOOTH = 0.1  # correlation of neighbours along an axis of space or time; unrelated columns have none
ALIKE = 0.5  # of the correlation along the other axis of space


def look(subject: Subject) -> Seen:
    """Returns whether the first convolution takes an axis of space or time for the channels.

    Two signs are asked for. One axis that the convolution slides along has no more places than a picture has channels;
    and neighbours along the axis that it takes for channels are as alike as along space.
    """
    first = next(
        (each for each in equations(subject.training_program) if each.eqn.primitive.name == "conv_general_dilated"),
        None,
    )
    leaves = [
        leaf for leaf in jax.tree.leaves(subject.train.inputs) if leaf.ndim in (3, 4) and leaf.dtype.kind in "fiu"
    ]
    if first is None or len(leaves) != 1:
        raise NotApplicable("no convolution over one array of images or series.")
    given: Any = first.eqn.invars[0].aval
    spec, shape = first.eqn.params["dimension_numbers"].lhs_spec, given.shape
    channels, space = shape[spec[1]], [shape[axis] for axis in spec[2:]]
    images = np.asarray(leaves[0][:200], np.float64)
    seen = f"first convolution slides along {space} and takes {channels} channels; an input has {images.shape[1:]}"
    sizes = images.shape[1:]
    if channels not in sizes or channels < LONG or min(space) not in FEW or min(space) not in sizes:
        return Seen(seen)
    taken, short = sizes.index(channels), sizes.index(min(space))
    if len(sizes) == 3 and sizes.count(channels) == 2:
        taken = 2 if short != 2 else 1  # height and width are equal: the one beside the short axis is still space
    along = neighbour_correlation(images, taken + 1)
    rest = next(axis for axis in range(len(sizes)) if axis not in (taken, short)) if len(sizes) == 3 else short
    other = neighbour_correlation(images, rest + 1)
    seen += f"; neighbours along the axis of {channels} correlate by {along:.2f}, along another by {other:.2f}"
    is_space = along > SMOOTH and (along > ALIKE * other if len(sizes) == 3 else other < ALIKE * along)
    if not is_space:
        return Seen(seen)
    message = f"the convolution at {first.place} takes the axis of {channels} places for channels, and slides along "
    message += f"the one of {min(space)}: inputs of shape {sizes} are not in the order that it expects."
    advice = "Move the channels where the model expects them: np.moveaxis(x, 1, -1) or jnp.transpose."
    evidence = (f"neighbours along the axis of {channels} correlate by {along:.2f}: it is space or time",)
    finding = Finding("input-wrong-layout", "error", message, advice, first.place.span, "data", evidence, 0.95)
    return Seen(seen, (finding,))


def neighbour_correlation(values: Float[np.ndarray, "..."], axis: int) -> float:
    """Returns the correlation of numbers with those beside them along an axis, 0 if there are none.

    The mean over examples is taken off, so that what is alike in all of them does not count.
    """
    away = np.moveaxis(values - values.mean(axis=0), axis, -1)
    before, after = away[..., :-1].ravel(), away[..., 1:].ravel()
    scale = np.sqrt(np.square(before).sum() * np.square(after).sum())
    return float((before * after).sum() / scale) if scale > 0 else 0.0


PROBES = (Probe("layout of inputs", ("input-wrong-layout",), look),)
