"""The tools in a training loop of your own: nothing of Verax trains here.

    python examples/own_loop.py

Trains a small network on digits with plain JAX and Optax, checks it on the way and certifies it. Prints ten items, of
which `tuned` is not run, because this loop searched for nothing.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

import verax as vx


class MLP(nn.Module):
    """One hidden layer."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(10)(nn.relu(nn.Dense(64)(x.reshape((x.shape[0], -1)))))


def main() -> None:
    """Trains, checks and certifies."""
    data = vx.data.digits().load()
    train = data.examples("train")
    model, optimizer = MLP(), optax.adam(3e-3)
    params = model.init(jax.random.key(0), train.inputs[:1])["params"]
    opt_state = optimizer.init(params)

    def loss(params, inputs, targets):
        logits = model.apply({"params": params}, inputs)
        return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()

    @jax.jit
    def step(params, opt_state, inputs, targets):
        value, grads = jax.value_and_grad(loss)(params, inputs, targets)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value

    print(vx.describe(params))
    print(vx.check_gradients(loss, params, train.inputs[:16], train.targets[:16]))
    losses = []
    for epoch in range(20):
        order = vx.data.epoch_order(train.size, seed=0, epoch=epoch)
        for rows in np.array_split(order, train.size // 32):
            params, opt_state, value = step(params, opt_state, train.inputs[rows], train.targets[rows])
            losses.append(value)

    evidence = vx.Evidence(
        network=model,
        objective=vx.classification(),
        variables=params,
        data=data,
        optimizer=optimizer,
        losses=jnp.stack(losses),
        training_peak_bytes=vx.train.process_peak_bytes(),
    )
    print(vx.certify(evidence))


if __name__ == "__main__":
    main()
