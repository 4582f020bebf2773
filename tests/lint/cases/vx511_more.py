"""VX511 missing-stop-gradient: more forms of targets."""
import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax


def q_loss(params, batch, apply, discount):
    q_next = jnp.max(apply(params, batch.next_obs), axis=-1)
    td_target = batch.rewards + discount * (1.0 - batch.dones) * q_next  # expect: VX511
    return jnp.mean(jnp.square(apply(params, batch.obs) - td_target))


q_grad = jax.value_and_grad(q_loss)


class Agent:
    def loss(self, params, transition):
        v = self.net.apply(params, transition.obs)
        bootstrap = transition.reward + self.gamma * self.net.apply(params, transition.next_obs)  # expect: VX511
        return ((bootstrap - v) ** 2).mean()

    def update(self, params, transition):
        return jax.grad(self.loss)(params, transition)


@eqx.filter_value_and_grad
def critic_loss(critic, obs, reward, next_obs):
    target = reward + 0.99 * jax.vmap(critic)(next_obs)  # expect: VX511
    return jnp.mean((jax.vmap(critic)(obs) - target) ** 2)


def delta(params, apply, r, gamma, obs, next_obs):
    error = r + gamma * apply(params, next_obs) - apply(params, obs)  # expect: VX511
    return jnp.mean(error**2)


delta_grad = jax.grad(lambda p, *rest: delta(p, *rest))


def stopped_value(params, apply, batch, gamma):
    value = lax.stop_gradient(apply(params, batch["next"]))
    target = batch["reward"] + gamma * value
    return jnp.mean((apply(params, batch["obs"]) - target) ** 2)


def part_of_params(params, apply, batch, gamma):
    target = batch["reward"] + gamma * apply(params["target"], batch["next_obs"])
    return jnp.mean((apply(params["online"], batch["obs"]) - target) ** 2)


def residual_loss(params, apply, batch, gamma):
    target = batch["reward"] + gamma * apply(params, batch["next_obs"])
    return jnp.mean((apply(params, batch["obs"]) - target) ** 2)


def euler(params, apply, x, dt):
    next_x = x + dt * apply(params, x)
    return jnp.mean((next_x - 1.0) ** 2)


def regularised(params, apply, batch, weight):
    target = batch["y"]
    loss = jnp.mean((apply(params, batch["x"]) - target) ** 2)
    return loss + weight * penalty(params)


def penalty(params):
    return sum(jnp.sum(p**2) for p in jax.tree.leaves(params))


def targets_of(params, apply, batch):
    return lax.stop_gradient(batch["reward"] + 0.9 * apply(params, batch["next_obs"]))


def helped(params, apply, batch):
    return jnp.mean((apply(params, batch["obs"]) - targets_of(params, apply, batch)) ** 2)


def not_differentiated(params, apply, batch, gamma):
    target = batch["reward"] + gamma * apply(params, batch["next_obs"]).max(-1)
    return target


grads = [jax.grad(f) for f in (euler, helped)]
g1, g2, g3 = jax.grad(stopped_value), jax.grad(part_of_params), jax.grad(residual_loss)
g4, g5, g6 = jax.grad(euler), jax.grad(regularised), jax.grad(helped)


def double_q(params, target_params, apply, batch):
    best = apply(params, batch.next_obs).argmax(-1)
    target = batch.reward + 0.99 * apply(target_params, batch.next_obs)[best]
    again = batch.reward + 0.99 * apply(target_params, batch.next_obs, jnp.argmax(apply(params, batch.next_obs), -1))
    return jnp.mean((apply(params, batch.obs) - target) ** 2 + again)


double_q_grad = jax.grad(double_q)
