"""VX516 weight-decay-on-everything: models without norms and biases, and options that are not seen."""
import equinox as eqx
import jax
import optax


def model(key):
    return eqx.nn.Linear(3, 3, key=key), eqx.nn.RMSNorm(3)


def optimizer(settings):
    return optax.adamw(**settings), optax.adamw(settings.rate, weight_decay=settings.decay)  # expect: VX516
