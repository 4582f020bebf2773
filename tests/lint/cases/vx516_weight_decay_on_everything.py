"""VX516 weight-decay-on-everything: decay without a mask, and the model has norms and biases."""
import jax
import optax
from flax import linen as nn


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.LayerNorm()(x))


def matrices(params):
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


every = optax.adamw(1e-3, weight_decay=0.1)  # expect: VX516
by_default = optax.lion(1e-4)  # expect: VX516
chained = optax.chain(
    optax.clip_by_global_norm(1.0),
    optax.scale_by_adam(),
    optax.add_decayed_weights(0.1),  # expect: VX516
    optax.scale_by_learning_rate(1e-3),
)

masked = optax.adamw(1e-3, weight_decay=0.1, mask=matrices)
by_place = optax.add_decayed_weights(0.1, matrices)
meant = optax.adamw(1e-3, mask=None)
around = optax.masked(optax.add_decayed_weights(0.1), matrices)
grouped = optax.multi_transform({"a": optax.adamw(1e-3), "b": optax.adam(1e-3)}, matrices)
without = optax.adamw(1e-3, weight_decay=0.0)
none = optax.lamb(1e-3)
adam = optax.adam(1e-3)
