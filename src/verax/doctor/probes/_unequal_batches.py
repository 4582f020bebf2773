"""Do batches of unequal size count as if they were equal, so that means of batches are no means of rows?"""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp
import numpy as np

from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject, on_device
from verax.doctor._trajectory import is_recut
from verax.findings import Finding, Part

SECONDS = 2.0  # for the losses of an epoch, whose gradients are compiled by then
SAME = 1e-4  # relative: sums of float32 numbers in another order differ by less
FELT = 1e-3  # relative: less is not seen in what a log prints


def look(subject: Subject) -> Seen:
    """Compares the mean of the losses of the first epoch's batches with the loss of all their rows together."""
    rows = np.array([len(batch.weight) for batch in subject.first_epoch])
    if rows.min() == rows.max():
        raise NotApplicable("all batches have one size, so the mean of their means is the mean over rows.")
    if len({tuple(np.shape(leaf)[1:] for leaf in jax.tree.leaves(batch)) for batch in subject.first_epoch}) > 1:
        raise NotApplicable("rows of different batches differ in shape: their losses are means over unlike numbers.")
    if is_recut(subject):
        raise NotApplicable("the batches have too many sizes to compile a step for each.")
    losses, whole = _losses(subject)
    if not np.isfinite([*losses, whole]).all():
        raise NotApplicable("the loss is not finite.")
    equal, by_rows = float(losses.mean()), float(np.average(losses, weights=rows))
    least, most = int(rows.min()), int(rows.max())
    compared = (
        f"{len(rows)} batches of {least} to {most} rows: mean of their losses {equal:.5g}, loss of all rows {whole:.5g}"
    )

    def seen(message: str, advice: str, part: Part, evidence: str) -> Seen:
        found = Finding("partial-batch-mean", "info", message, advice, None, part, (evidence,), 1.0)
        return Seen(compared, (found,))

    if abs(float(losses.sum()) - whole) <= SAME * abs(whole):
        return seen(
            f"the loss adds up over the rows of a batch: one of {least} rows counts {least / most:.2g} times as much "
            f"as one of {most}, in the steps and in a mean of batches.",
            "Divide the loss by the rows that it was given, not by a number that is fixed.",
            "loss",
            f"the losses of the batches have the sum {losses.sum():.5g}, which is the loss of all rows together",
        )
    if abs(whole - by_rows) > SAME * abs(whole) or abs(equal - whole) <= FELT * abs(whole):
        return Seen(compared)
    return seen(
        f"the mean of the losses of batches of {least} to {most} rows is {equal:.5g}, where the mean over rows is "
        f"{whole:.5g}.",
        "Sum losses and rows over the batches, and divide once; for steps, leave out the rest of an epoch or pad it.",
        "batches",
        f"in the steps, a row of the smallest batch counts as much as {most / least:.2g} rows of the largest",
    )


def _losses(subject: Subject) -> tuple[np.ndarray, float]:
    """Returns the loss of every batch, as a step has it, and that of all their rows together, at the initial weights.

    Raises:
      NotApplicable: if that takes too long, or outputs have no axis of rows by which they could be put together.
    """
    for batch in {len(batch.weight): batch for batch in subject.first_epoch}.values():  # each size is compiled once
        subject.gradient(*subject.variables, on_device(batch), subject.noise(0))
    start, losses, outputs, batches = time.perf_counter(), [], [], []
    for number, batch in enumerate(subject.first_epoch):
        if time.perf_counter() - start > SECONDS:
            raise NotApplicable(f"{number} of {len(subject.first_epoch)} batches took {SECONDS:g} s.")
        (loss, (given, _)), _ = subject.gradient(*subject.variables, on_device(batch), subject.noise(number))
        losses.append(float(loss))
        outputs.append(jax.tree.map(np.asarray, given))
        batches.append(jax.tree.map(np.asarray, batch))
    try:
        whole, together = (jax.tree.map(lambda *leaves: np.concatenate(leaves), *each) for each in (outputs, batches))
    except ValueError as error:  # numbers without an axis, or axes of other lengths
        raise NotApplicable("the outputs of different batches cannot be put together.") from error
    return np.array(losses), float(subject.mean_loss(jax.tree.map(jnp.asarray, whole), on_device(together)))


PROBES = (Probe("batches of unequal size", ("partial-batch-mean",), look),)
