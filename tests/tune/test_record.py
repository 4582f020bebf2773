"""What calls and spans measured comes together lane by lane."""

import jax.numpy as jnp
import numpy as np

from verax.tune._record import EpochRecord, ends_of, measured


def record(lanes, epochs):
    """What one call measured of some lanes in some epochs of two steps: numbers that say whose they are."""
    steps = np.array([[[(lane + epoch / 10 + step / 100, 1 + step) for lane in lanes] for step in (0, 1)]
                      for epoch in epochs], np.float32)  # fmt: skip
    validation = {"loss": lambda lane, epoch: [lane, epoch], "weight": lambda lane, epoch: [3, 4]}
    ends = [[ends_of({name: jnp.array(each(lane, epoch)) for name, each in validation.items()}, jnp.array(lane != 2))
             for lane in lanes] for epoch in epochs]  # fmt: skip
    numbers = np.stack([np.stack([each.ends for each in epoch]) for epoch in ends])
    return EpochRecord(steps, numbers, ends[0][0].names)


def test_calls_and_spans_come_together_lane_by_lane():
    order = [0, 2, 1, 3]
    whole = measured([[record(order[at : at + 2], span) for span in ([0, 1], [2])] for at in (0, 2)], order)
    for lane in range(4):
        for epoch in range(3):
            np.testing.assert_allclose(whole.total[lane, epoch], [lane + epoch / 10, lane + epoch / 10 + 0.01], 1e-6)
            assert whole.weight[lane, epoch].tolist() == [1, 2]
            assert whole.validation["loss"][lane, epoch].tolist() == [lane, epoch]
            assert whole.validation["weight"][lane, epoch].tolist() == [3, 4]
            assert whole.params_finite[lane, epoch] == (lane != 2)
