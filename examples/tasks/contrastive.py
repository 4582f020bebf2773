"""A contrastive loss of the whole batch: two noisy views of a digit lie near each other, views of others far away.

    python examples/tasks/contrastive.py

No label is used in training. Prints how often the nearest neighbour of a test digit, among the training digits, is of
the same class: about 0.95.
"""

import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

import verax as vx

TEMPERATURE = 0.2


class Encoder(nn.Module):
    """Gives each view a direction in 32 dimensions."""

    @nn.compact
    def __call__(self, views):
        x = views.reshape((views.shape[0], 2, -1))  # examples views pixels
        x = nn.Dense(32)(nn.relu(nn.Dense(128)(x)))
        return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


def loss(outputs, batch: vx.Batch):
    """One number a batch: which of the second views belongs to each first view? (InfoNCE, van den Oord et al., 2018)"""
    similar = outputs[:, 0] @ outputs[:, 1].T / TEMPERATURE
    return optax.softmax_cross_entropy_with_integer_labels(similar, jnp.arange(similar.shape[0])).mean()


def views_of(images: np.ndarray, seed: int) -> np.ndarray:
    """Returns two views of each image, with different noise."""
    noise = np.random.default_rng(seed).normal(0, 0.15, (len(images), 2, *images.shape[1:]))
    return (images[:, None] + noise).astype(np.float32)


def experiment(learning_rate: float = 3e-3) -> vx.Experiment:
    """`per_example=False`: rows of a batch belong together, so none is ever padding."""
    digits = vx.data.digits().split(0, 0, 0).load().raw("train")
    views = views_of(digits.inputs.astype(np.float32) / 16, seed=0)
    return vx.Experiment(
        network=Encoder(),
        objective=vx.objective_from_loss(loss, per_example=False),
        optimizer=optax.adam(learning_rate),
        data=vx.data.from_arrays(views, digits.targets),
        batch_size=128,
        remainder="drop",
        epochs=15,
    )


def main() -> dict[str, float]:
    run = vx.train(experiment)
    train, test = (run.dataset.examples(split) for split in ("train", "test"))
    known, new = (vx.evaluate.predict(run.network, run.variables, each.inputs)[:, 0] for each in (train, test))
    nearest = (new @ known.T).argmax(axis=1)
    share = float((train.targets[nearest] == test.targets).mean())
    print(f"{run}\nthe nearest neighbour is of the same class: {share:.3f}")
    return {"nearest": share, "loss": run.history.last("train/loss") or float("nan")}


if __name__ == "__main__":
    main()
