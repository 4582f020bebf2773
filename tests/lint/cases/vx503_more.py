"""VX503 batch-stats-not-mutable: more forms of variables, flags and `mutable`."""
import jax
from flax import linen as nn
from flax.core import FrozenDict, freeze


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train: bool = True):
        return nn.BatchNorm(use_running_average=not train)(nn.Dense(3)(x))


net = Net()


def built_by_dict(model, params, stats, x):
    return model.apply(dict(params=params, batch_stats=stats), x, is_training=True)  # expect: VX503


def frozen_dict(model, params, stats, x):
    variables = FrozenDict({"params": params, "batch_stats": stats})
    return model.apply(variables, x, training=True)  # expect: VX503


def merged(model, params, stats, x):
    return model.apply({**{"params": params}, "batch_stats": stats}, x, deterministic=False)  # expect: VX503


def not_mutable(model, params, stats, x):
    variables = freeze({"params": params, "batch_stats": stats})
    return model.apply(variables, x, train=True, mutable=False)  # expect: VX503


def other_collection(model, params, stats, x):
    out, _ = model.apply({"params": params, "batch_stats": stats}, x, train=True, mutable=["intermediates"])  # expect: VX503
    return out


def by_place(params, stats, x):
    return net.apply({"params": params, "batch_stats": stats}, x, True)  # expect: VX503


def by_default(params, stats, x):
    return net.apply({"params": params, "batch_stats": stats}, x)  # expect: VX503


class Trainer:
    def loss(self, params, x, key):
        def inner(p):
            variables = {"params": p, "batch_stats": self.stats}
            return self.state.apply_fn(variables, x, train=True, rngs={"dropout": key}).sum()  # expect: VX503

        return jax.grad(inner)(params)


def by_alias(state, x):
    apply_fn = state.apply_fn
    return apply_fn({"params": state.params, "batch_stats": state.batch_stats}, x, train=True)  # expect: VX503


def tuple_of_names(model, params, stats, x):
    variables = {"params": params, "batch_stats": stats}
    return model.apply(variables, x, train=True, mutable=("batch_stats", "cache"))


def one_name(model, params, stats, x):
    return model.apply({"params": params, "batch_stats": stats}, x, train=True, mutable="batch_stats")


MUTABLE = ["batch_stats"]


def name_of_list(model, params, stats, x):
    return model.apply({"params": params, "batch_stats": stats}, x, train=True, mutable=MUTABLE)


def computed(model, params, stats, x, train):
    mutable = ["batch_stats"] if train else False
    return model.apply({"params": params, "batch_stats": stats}, x, train=True, mutable=mutable)


def flag_of_caller(model, params, stats, x, train):
    return model.apply({"params": params, "batch_stats": stats}, x, train=train)


def not_training(params, stats, x):
    return net.apply({"params": params, "batch_stats": stats}, x, False)


def init_is_another(model, key, x):
    return model.init(key, x, train=True)


def unknown_variables(model, variables, x):
    return model.apply(variables, x, train=True), model.apply({**variables}, x, train=True)


def rest(model, params, stats, x, options):
    return model.apply({"params": params, "batch_stats": stats}, x, train=True, **options)


def put_in(state, params, x):
    variables = {"params": params}
    variables["batch_stats"] = state.batch_stats
    return state.apply_fn(variables, x, train=True)  # expect: VX503


def put_in_later(state, params, x):
    variables = {"params": params}
    out = state.apply_fn(variables, x, train=True)
    variables["batch_stats"] = state.batch_stats
    return out, variables


def put_in_some(state, params, x):
    variables = {"params": params}
    if state.batch_stats is not None:
        variables["batch_stats"] = state.batch_stats
    return state.apply_fn(variables, x, train=True)


def by_keyword(model, params, stats, x):
    return model.apply(variables={"params": params, "batch_stats": stats}, x=x, train=True)  # expect: VX503
