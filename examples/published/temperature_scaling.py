"""Temperature scaling repairs an over-trained network: the claims of Guo, Pleiss, Sun and Weinberger (2017).

    python examples/published/temperature_scaling.py [DATA FOLDER]
    verax train examples/published/temperature_scaling.py

Their table 1 has the calibration error fall from 4.6 % to 0.83 % (ResNet 110, CIFAR-10) and from 3.02 % to 0.93 %
(LeNet 5): a factor of three or more, with the same answers. Here the network is the perceptron of `fashion_mlp.py`,
trained for 50 epochs on 55,000 images of Fashion-MNIST, which is far too long; the temperature is fitted on the other
5,000 and the error is measured on the 10,000 test images, with 15 bins of equal width as in the paper. So it is the
claims that are checked, on another network and other data, not the digits.
"""

import os
import sys
from typing import Any

import numpy as np
import optax
from flax import linen as nn

import verax as vx
from verax.evaluate import apply_temperature, fit_temperature, predict

PUBLISHED = "a third or less"


class MLP(nn.Module):
    """One hidden layer of ReLU."""

    hidden: int

    @nn.compact
    def __call__(self, x):
        return nn.Dense(10)(nn.relu(nn.Dense(self.hidden)(x.reshape((x.shape[0], -1)))))


def experiment(hidden: int = 100, learning_rate: float = 1e-3, epochs: int = 50) -> vx.Experiment:
    """Returns the experiment, which trains longer than is good for its probabilities."""
    data = vx.data.fashion_mnist().split(validation=0, calibration=5000)
    return vx.Experiment(
        network=MLP(hidden),
        objective=vx.classification(),
        optimizer=optax.adam(learning_rate),
        data=data.preprocess(vx.data.standardise()),
        batch_size=200,
        epochs=epochs,
    )


def measure(seeds: int = 3, **hyperparameters: Any) -> dict[str, Any]:
    """Returns for each seed what temperature scaling did, by name."""
    made = [scaled(run) for run in vx.train(experiment, seeds=seeds, **hyperparameters)]
    return {name: [each[name] for each in made] for name in made[0]}


def scaled(run: vx.Run) -> dict[str, float]:
    """Returns calibration error, likelihood and accuracy on the test split before and after temperature scaling."""
    known, test = (run.dataset.examples(split) for split in ("calibration", "test"))
    temperature = fit_temperature(predict(run.network, run.variables, known.inputs), known.targets)
    logits = predict(run.network, run.variables, test.inputs)
    before, after = apply_temperature(logits, 1.0), apply_temperature(logits, temperature)
    errors = [vx.calibration(each, test.targets, bins=15) for each in (before, after)]
    answers = [each.argmax(axis=1) for each in (before, after)]
    return {
        "temperature": temperature,
        "ece_before": errors[0].ece,
        "ece_after": errors[1].ece,
        "ece_ratio": errors[1].ece / errors[0].ece,
        "nll_before": errors[0].nll,
        "nll_after": errors[1].nll,
        "accuracy": float(np.mean(answers[0] == test.targets)),
        "answers_changed": float(np.sum(answers[0] != answers[1])),
    }


def main() -> None:
    """Runs the protocol on the data in the folder given, or in that of VERAX_DATA, and prints what came of it."""
    if len(sys.argv) > 1:
        os.environ["VERAX_DATA"] = sys.argv[1]
    for name, values in measure().items():
        print(f"{name:<16} " + " ".join(f"{each:.4f}" for each in values))
    print(f"published: error after over error before, {PUBLISHED}; no answer changed")


if __name__ == "__main__":
    main()
