"""The four states of an item in words, shape and colour, and what to do about each item that is not passed."""

from __future__ import annotations

from verax.certify import Certificate, Outcome
from verax.report._elements import Markup, tag

WORDS = {"passed": "Passed", "failed": "Failed", "waived": "Waived", "not_run": "Not run"}

SHAPES = {  # told apart without colour: tick in a disc, cross in an octagon, bar in a diamond, empty dashed ring
    "passed": '<circle cx="12" cy="12" r="11" fill="currentColor"/><path d="M6.5 12.5l3.7 3.8 7.3-8.2" class="mark"/>',
    "failed": '<path d="M7.4 1h9.2L23 7.4v9.2L16.6 23H7.4L1 16.6V7.4z" fill="currentColor"/>'
    '<path d="M8 8l8 8m0-8l-8 8" class="mark"/>',
    "waived": '<path d="M12 .6L23.4 12 12 23.4.6 12z" fill="currentColor"/><path d="M7.5 12h9" class="mark"/>',
    "not_run": '<circle cx="12" cy="12" r="10" fill="none" stroke="currentColor" stroke-width="2.4"'
    ' stroke-dasharray="4.2 2.1"/>',
}

NAMES = {
    "converges": "Converges",
    "gradients": "Gradients",
    "finite": "Finite",
    "better_than_chance": "Better than chance",
    "calibrated": "Calibrated",
    "held_out": "Held out",
    "tuned": "Tuned",
    "reload": "Reloads",
    "inference_time": "Inference time",
    "memory": "Memory",
}

NEXT = {
    "converges": "Check the loss, the labels and the learning rate: a network that cannot learn one batch by heart "
    "cannot learn the rest.",
    "gradients": "Look at the leaves that are named: a custom derivative, a rounding or a stop_gradient on the way "
    "to the loss.",
    "finite": "Lower the learning rate, clip with optax.clip_by_global_norm(1.0), look for a log or a division of 0.",
    "better_than_chance": "Check that inputs and targets belong together; then train longer or take a larger network.",
    "calibrated": "Recalibrate on the calibration split (temperature scaling), train less long, or use more data.",
    "held_out": "Take the duplicates out of the test split, or split by group, then train and certify again.",
    "tuned": "Let a study of more than one trial choose the setting by validation: vx.tune(experiment, space).",
    "reload": "Export again, and look for an operation whose result depends on the process: hashes, order, time.",
    "inference_time": "Take a smaller network, put more examples into a call, or set a limit that fits the use.",
    "memory": "Take a smaller batch or network, or set a limit that fits the machine.",
}


def icon(status: str) -> Markup:
    """Returns the shape of a status; its word always stands beside it."""
    shape = SHAPES[status]
    return Markup(f'<svg class="icon {status}" viewBox="0 0 24 24" aria-hidden="true" focusable="false">{shape}</svg>')


def badge(status: str) -> Markup:
    """Returns shape and word of a status."""
    return tag("span", icon(status), " ", WORDS[status], class_=f"badge {status}")


def sentence(certificate: Certificate) -> str:
    """Returns the verdict in numbers: how many items were passed, failed, waived, not run."""
    counts = {status: sum(item.status == status for item in certificate.items) for status in WORDS}
    parts = [f"{counts['passed']} of {len(certificate.items)} items passed"]
    parts += [
        f"{counts[status]} {WORDS[status].lower()}" for status in ("failed", "not_run", "waived") if counts[status]
    ]
    return ", ".join(parts) + "."


def advice(item: Outcome) -> str:
    """Returns what to do about an item that failed or was not run; empty for the others."""
    given = [finding.advice for finding in item.findings if finding.advice and finding.severity != "info"]
    if item.status == "failed":
        return given[0] if given else NEXT[item.id]
    if item.status == "not_run":
        return given[0] if given else "" if item.reason else NEXT[item.id]
    return ""
