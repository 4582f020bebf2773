"""An autoencoder: digits through a layer of 16 numbers and back; each pixel is the share of ink in it.

    python examples/tasks/autoencoder.py

Prints the error of the reconstruction on the test split, RMSE about 0.15, against that of the mean digit, 0.27.
"""

import optax
from flax import linen as nn

import verax as vx


class Autoencoder(nn.Module):
    """Gives logits of the shape of the inputs."""

    code: int = 16

    @nn.compact
    def __call__(self, images):
        x = nn.relu(nn.Dense(64)(images.reshape((images.shape[0], -1))))
        x = nn.relu(nn.Dense(64)(nn.Dense(self.code)(x)))
        return nn.Dense(images.shape[1] * images.shape[2])(x).reshape(images.shape)


def experiment(learning_rate: float = 3e-3) -> vx.Experiment:
    """The targets are the inputs as the network sees them; the labels of the data are not used."""
    return vx.Experiment(
        network=Autoencoder(),
        objective=vx.autoencoder(likelihood="bernoulli"),
        optimizer=optax.adam(learning_rate),
        data=vx.data.digits().preprocess(vx.data.scale_uint8(16)),
        epochs=10,
    )


def main() -> dict[str, float]:
    run = vx.train(experiment)
    train, test = (run.dataset.examples(split) for split in ("train", "test"))
    scores = vx.evaluate(run.network, run.experiment.objective, run.variables, test)
    simplest = vx.evaluate.baseline("autoencoder", train.inputs, test.inputs)
    print(scores, f"the mean digit: RMSE {simplest['rmse']}", sep="\n")
    return {"rmse": scores.metrics["rmse"].value, "rmse_of_mean": simplest["rmse"].value}


if __name__ == "__main__":
    main()
