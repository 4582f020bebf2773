"""VX504 batch-stats-discarded: more ways to lose them, and to keep them."""
import jax
import jax.numpy as jnp


def starred(model, variables, x):
    out, *_ = model.apply(variables, x, train=True, mutable=["batch_stats"])  # expect: VX504
    return out


def through_name(model, variables, x):
    result = model.apply(variables, x, train=True, mutable=["batch_stats"])  # expect: VX504
    return result[0]


def several(model, variables, x):
    out, state = model.apply(variables, x, train=True, mutable=["batch_stats", "intermediates"])  # expect: VX504
    return out, state["intermediates"]


def all_mutable(model, params, stats, x):
    (out, _) = model.apply({"params": params, "batch_stats": stats}, x, train=True, mutable=True)  # expect: VX504
    return out


def rebound(model, variables, x, tx, grads, opt_state):
    out, updates = model.apply(variables, x, train=True, mutable="batch_stats")  # expect: VX504
    updates, opt_state = tx.update(grads, opt_state)
    return out, updates, opt_state


class Trainer:
    def loss(self, params, x):
        return self.model.apply({"params": params, **self.rest}, x, train=True, mutable=("batch_stats",))[0]  # expect: VX504

    async def kept(self, params, x):
        out, self.stats = self.model.apply({"params": params}, x, train=True, mutable=["batch_stats"])
        return out


def lambda_loss(state, x):
    return jax.grad(lambda p: state.apply_fn({"params": p}, x, train=True, mutable=["batch_stats"])[0].sum())  # expect: VX504


def kept_in_loop(model, params, stats, batches):
    new = {"batch_stats": stats}
    for x in batches:
        variables = {"params": params, **new}
        out, new = model.apply(variables, x, train=True, mutable=["batch_stats"])
    return out


def kept_by_branch(model, variables, x, train):
    if train:
        out, new = model.apply(variables, x, train=True, mutable=["batch_stats"])
    else:
        out, new = model.apply(variables, x, train=False), None
    return out, new


def kept_whole(model, variables, x):
    result = model.apply(variables, x, train=True, mutable=["batch_stats"])
    return result[0], result[1]["batch_stats"]


def kept_by_walrus(model, variables, x):
    if (result := model.apply(variables, x, train=True, mutable=["batch_stats"])) is not None:
        return result


def kept_nested(model, variables, x):
    out, new = model.apply(variables, x, train=True, mutable=["batch_stats"])

    def stats():
        return new["batch_stats"]

    return out, stats


def not_moving(model, variables, x):
    out, _ = model.apply(variables, x, train=False, mutable=["batch_stats"])
    return out


def eval_step(model, variables, x):
    out, _ = model.apply(variables, x, mutable=["batch_stats"])
    return out


def test_shape(model, variables, x):
    out, _ = model.apply(variables, x, train=True, mutable=["batch_stats"])
    assert jnp.shape(out) == (2, 3)


def sown(model, variables, x):
    return model.apply(variables, x, mutable=["intermediates"])[1]


def second_only(model, variables, x):
    return model.apply(variables, x, train=True, mutable=["batch_stats"])[1]
