"""Several labels an example: is a digit even, is it prime, has it a loop? The threshold is chosen on validation.

    python examples/tasks/multilabel.py

Prints the scores on the test split, average precision about 0.99, at a threshold for each label.
"""

import numpy as np
import optax
from flax import linen as nn

import verax as vx

LABELS = {"even": (0, 2, 4, 6, 8), "prime": (2, 3, 5, 7), "loop": (0, 6, 8, 9)}


class MLP(nn.Module):
    """A logit for each label."""

    @nn.compact
    def __call__(self, images):
        x = nn.relu(nn.Dense(64)(images.reshape((images.shape[0], -1))))
        return nn.Dense(len(LABELS))(x)


def experiment(learning_rate: float = 3e-3) -> vx.Experiment:
    """`balanced`: a label that is there counts as much as one that is not, however rare it is."""
    digits = vx.data.digits().split(0, 0, 0).load().raw("train")
    targets = np.stack([np.isin(digits.targets, digit) for digit in LABELS.values()], axis=1).astype(np.int32)
    data = vx.data.from_arrays(digits.inputs, targets, classes=tuple(LABELS))
    return vx.Experiment(
        network=MLP(),
        objective=vx.multilabel(positive_weight="balanced"),
        optimizer=optax.adam(learning_rate),
        data=data.preprocess(vx.data.scale_uint8(16)),
        epochs=8,
    )


def main() -> dict[str, float]:
    run = vx.train(experiment)
    objective, validation = run.experiment.objective, run.dataset.examples("validation")
    outputs = vx.evaluate.predict(run.network, run.variables, validation.inputs)
    probabilities = np.asarray(objective.predictions(outputs))
    threshold = vx.evaluate.choose_threshold(probabilities, validation.targets, "f1", classes=tuple(LABELS))
    test = run.dataset.examples("test")
    scores = vx.evaluate(run.network, objective, run.variables, test, classes=tuple(LABELS), threshold=threshold)
    print(scores, threshold, sep="\n")
    return {name: scores.metrics[name].value for name in ("average_precision", "micro_f1")}


if __name__ == "__main__":
    main()
