"""An experiment with one thing wrong, as a file for `verax train`."""

from typing import Any

import optax

import verax as vx
from tests.bad_input.networks import Net
from tests.bad_input.wrong_data import DATA, source
from tests.bad_input.wrong_parts import PARTS

WRONG = {row.name: row for row in (*DATA, *PARTS)}


def sound_parts() -> dict[str, Any]:
    return {
        "network": Net(),
        "objective": vx.classification(),
        "optimizer": optax.adam(1e-2),
        "data": source(),
        "batch_size": 16,
        "epochs": 1,
    }


def experiment(fault: str = "", hidden: int = 4, unused: int = 0) -> vx.Experiment:
    """A small classifier with one thing wrong.

    Args:
      fault: the name of a row of `WRONG`; nothing is wrong without one.
      hidden: width of the hidden layer.
      unused: changes nothing.
    """
    parts = {**sound_parts(), "network": Net(hidden=hidden)}
    return vx.Experiment(**{**parts, **(WRONG[fault].parts() if fault else {})})
