"""What to write in the place of a stale name, beside what the releases themselves say in their messages.

Where a line has a release, that is the one whose changelog says so.
"""

from __future__ import annotations

import re

from verax.lint._tables import Stale, table
from verax.lint._versions import Target

# What the tables cannot tell: deprecations that are only in the documentation, and attributes of objects.
DOCUMENTED: dict[str, tuple[str | None, str | None, str | None, str]] = {
    "jax.host_id": ("0.2.0", "0.2.13", None, "Use jax.process_index."),  # 0.2.13
    "jax.host_count": ("0.2.0", "0.2.13", None, "Use jax.process_count."),
    "jax.host_ids": ("0.2.0", "0.2.13", None, "It is range(jax.process_count())."),
    "jax.config.config": ("0.2.0", None, "0.4.25", "Use jax.config."),  # 0.4.25
    "flax.experimental.nnx": ("0.8.0", "0.8.4", None, "Use flax.nnx."),  # it warns on import since
    "optax.second_order.hvp": ("0.1.8", "0.2.7", None, ""),  # its docstring: removed in 0.2.9
    "optax.second_order.hessian_diag": ("0.1.8", "0.2.7", None, ""),
    "optax.second_order.fisher_diag": ("0.1.8", "0.2.7", None, ""),
}

# The same thing under another name: what is computed does not change.
SAME: dict[str, str] = {
    "jax.partial": "functools.partial",
    "jax.tree_multimap": "jax.tree.map",  # 0.3.16
    "jax.tree_util.tree_multimap": "jax.tree_util.tree_map",
    "jax.host_id": "jax.process_index",
    "jax.host_count": "jax.process_count",
    "jax.config.config": "jax.config",
    "jax.config": "jax",  # of `from jax.config import config`
    "jax.linear_util": "jax.extend.linear_util",  # 0.4.16
    "jax.experimental.optimizers": "jax.example_libraries.optimizers",  # 0.2.25
    "jax.experimental.stax": "jax.example_libraries.stax",  # 0.2.25
    "jax.experimental.shard_map.shard_map": "jax.shard_map",  # 0.8.0
    "jax.experimental.pjit.pjit": "jax.jit",  # 0.8.0
    "jax.experimental.pjit.with_sharding_constraint": "jax.lax.with_sharding_constraint",
    "jax.experimental.maps.Mesh": "jax.sharding.Mesh",  # 0.4.3
    "jax.experimental.PartitionSpec": "jax.sharding.PartitionSpec",
    "jax.experimental.pjit.PartitionSpec": "jax.sharding.PartitionSpec",
    "jax.interpreters.pxla.PartitionSpec": "jax.sharding.PartitionSpec",
    "jax.interpreters.pxla.Mesh": "jax.sharding.Mesh",
    "jax.clear_backends": "jax.extend.backend.clear_backends",
    "jax.ops.index": "jax.numpy.s_",  # both give back what they are indexed with
    "jax.numpy.alltrue": "jax.numpy.all",
    "jax.numpy.sometrue": "jax.numpy.any",
    "jax.numpy.product": "jax.numpy.prod",
    "jax.numpy.cumproduct": "jax.numpy.cumprod",
    "jax.numpy.row_stack": "jax.numpy.vstack",
    "jax.numpy.trapz": "jax.numpy.trapezoid",
    "jax.numpy.round_": "jax.numpy.round",
    "jax.numpy.fix": "jax.numpy.trunc",
    "jax.numpy.DeviceArray": "jax.Array",
    "jax.ArrayRef": "jax.Ref",
    "jax.array_ref": "jax.new_ref",
    "flax.experimental.nnx": "flax.nnx",
    "optax.additive_weight_decay": "optax.add_decayed_weights",  # 0.1.0
    "optax.AdditiveWeightDecayState": "optax.AddDecayedWeightsState",
    "optax.hvp": "optax.second_order.hvp",  # 0.1.8
    "optax.hessian_diag": "optax.second_order.hessian_diag",
    "optax.fisher_diag": "optax.second_order.fisher_diag",
    "optax.tree_utils.tree_scalar_mul": "optax.tree_utils.tree_scale",
    "optax.tree_utils.tree_add_scalar_mul": "optax.tree_utils.tree_add_scale",
    "optax.tree_utils.tree_l2_norm": "optax.tree_utils.tree_norm",
}
# Something near: another shape, other numbers, or a narrower type.
NEAR: dict[str, str] = {
    "jax.experimental.export": "jax.export",  # 0.4.30
    "jax.random.KeyArray": "jax.Array",
    "jax.random.PRNGKeyArray": "jax.Array",
    "jax.random.shuffle": "jax.random.permutation",
    "jax.numpy.in1d": "jax.numpy.isin",  # whose result has the shape of the first array, not one axis
    "jax.numpy.issubsctype": "jax.numpy.issubdtype",
    "jax.tree_util.build_tree": "jax.tree.unflatten",
    "jax.core.get_aval": "jax.typeof",
    "optax.maybe_update": "optax.conditionally_transform",
    "jax.device_put_replicated": "jax.device_put",
    "jax.device_put_sharded": "jax.device_put",
}
# Expressions, with the old name's call or the name itself in them.
VALUES: dict[str, str] = {"jax.numpy.NINF": "-{}.inf", "jax.numpy.PZERO": "0.0", "jax.numpy.NZERO": "-0.0"}
# What to do where no name takes the place.
ADVICE: dict[str, str] = {
    "jax.ops.index": "Index with x.at[...].",
    "jax.ops.index_update": "Use x.at[...].set(y).",
    "jax.ops.index_add": "Use x.at[...].add(y).",
    "jax.ops.index_mul": "Use x.at[...].multiply(y).",
    "jax.ops.index_min": "Use x.at[...].min(y).",
    "jax.ops.index_max": "Use x.at[...].max(y).",
    "jax.numpy.msort": "Use jnp.sort(a, axis=0).",
    "jax.numpy.NINF": "Use -jax.numpy.inf.",
    "jax.xla_computation": "Use jax.jit(f).lower(...).",
    "jax.abstract_arrays": "Use jax.core.",
    "jax.config": "Write `from jax import config`.",
    "jax.api": "Its names are those of jax itself.",
    "jax.util": "It was private; the standard library or jax.extend has most of it.",
    "jax.lib.xla_bridge": "Use jax.devices, jax.default_backend or jax.extend.backend.",
    "jax.lib.xla_client": "Use jax.extend or jax.ffi.",
    "jax.experimental.maps": "Use jax.shard_map or jax.vmap, and jax.sharding.Mesh.",
    "jax.experimental.host_callback": "Use jax.pure_callback, jax.experimental.io_callback or jax.debug.callback.",
    "jax.experimental.loops": "Use jax.lax.fori_loop, while_loop or scan.",
    "jax.experimental.global_device_array": "Use jax.Array and jax.make_array_from_callback.",
    "jax.experimental.array_api": "jax.numpy follows the array API itself.",
    "jax.experimental.sharding": "Use jax.sharding.",
    "jax.experimental.x64_context": "Use jax.enable_x64.",
    "flax.optim": "Use Optax.",
    "flax.nn": "Use flax.linen.",
    "flax.deprecated": "Use flax.linen.",
    "flax.deprecated.nn": "Use flax.linen.",
    "optax.control_delta_method": "Optax has no Monte Carlo gradients any more.",
    "optax.second_order.hvp": "Use jax.jvp of jax.grad.",
    "optax.second_order.hessian_diag": "Use jax.hessian, or jax.jvp of jax.grad.",
    "optax.second_order.fisher_diag": "Square jax.grad of the negative log likelihood.",
    "jax.random.KeyArray": "Annotate keys as jax.Array; jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) knows one.",
}  # fmt: skip
ADVICE["jax.random.PRNGKeyArray"] = ADVICE["jax.random.KeyArray"]

# Names that other libraries have, by the module in which they are looked for.
TRANSLATIONS: dict[str, dict[str, str]] = {
    "jax": {
        "tensor": "jax.numpy.array", "no_grad": "jax.lax.stop_gradient", "Tensor": "jax.Array",
        "value_and_gradient": "jax.value_and_grad", "gradient": "jax.grad", "set_printoptions":
        "jax.numpy.set_printoptions", "concatenate": "jax.numpy.concatenate", "array": "jax.numpy.array",
        "zeros": "jax.numpy.zeros", "ones": "jax.numpy.ones", "stop_gradient": "jax.lax.stop_gradient", "scan":
        "jax.lax.scan", "cond": "jax.lax.cond", "while_loop": "jax.lax.while_loop", "fori_loop":
        "jax.lax.fori_loop", "PRNGKey": "jax.random.PRNGKey", "relu": "jax.nn.relu", "softmax":
        "jax.nn.softmax", "psum": "jax.lax.psum", "pmean": "jax.lax.pmean", "no_jit": "jax.disable_jit",
    },
    "jax.numpy": {
        "random": "jax.random", "tensor": "jax.numpy.array", "cat": "jax.numpy.concatenate", "from_numpy":
        "jax.numpy.asarray",
        "as_tensor": "jax.numpy.asarray", "clamp": "jax.numpy.clip", "clip_by_value": "jax.numpy.clip", "mm":
        "jax.numpy.matmul", "bmm": "jax.numpy.matmul", "norm": "jax.numpy.linalg.norm", "softmax":
        "jax.nn.softmax", "relu": "jax.nn.relu", "sigmoid": "jax.nn.sigmoid", "erf": "jax.scipy.special.erf",
        "logsumexp": "jax.nn.logsumexp", "one_hot": "jax.nn.one_hot", "rsqrt": "jax.lax.rsqrt", "stop_gradient":
        "jax.lax.stop_gradient", "scatter": "jax.Array.at", "index_select": "jax.numpy.take", "gather":
        "jax.numpy.take_along_axis", "unsqueeze": "jax.numpy.expand_dims", "numel": "jax.numpy.size", "cast":
        "jax.numpy.astype", "reduce_mean": "jax.numpy.mean", "reduce_sum": "jax.numpy.sum", "randn":
        "jax.random.normal", "rand": "jax.random.uniform", "masked_fill": "jax.numpy.where", "Array":
        "jax.Array", "inverse": "jax.numpy.linalg.inv", "lgamma": "jax.scipy.special.gammaln",
    },
    "jax.random": {
        "randn": "jax.random.normal", "rand": "jax.random.uniform", "random": "jax.random.uniform", "gaussian":
        "jax.random.normal", "randperm": "jax.random.permutation", "seed": "jax.random.key", "standard_normal":
        "jax.random.normal", "random_sample": "jax.random.uniform", "binary":
        "jax.random.bernoulli", "sample": "jax.random.choice", "new_key": "jax.random.split", "integers":
        "jax.random.randint", "RandomState": "jax.random.key", "default_rng": "jax.random.key",
    },
    "jax.lax": {
        "stop_grad": "jax.lax.stop_gradient", "for_loop": "jax.lax.fori_loop", "where": "jax.numpy.where",
        "softmax": "jax.nn.softmax", "matmul": "jax.numpy.matmul", "detach": "jax.lax.stop_gradient",
    },
    "jax.nn": {
        "cross_entropy": "optax.softmax_cross_entropy", "softmax_cross_entropy": "optax.softmax_cross_entropy",
        "cross_entropy_loss": "optax.softmax_cross_entropy", "Linear": "flax.linen.Dense", "Dense":
        "flax.linen.Dense", "dropout": "flax.linen.Dropout", "mse_loss": "optax.squared_error", "ReLU":
        "jax.nn.relu", "binary_cross_entropy": "optax.sigmoid_binary_cross_entropy", "LeakyReLU":
        "jax.nn.leaky_relu", "sigmoid_cross_entropy": "optax.sigmoid_binary_cross_entropy",
        "sparse_softmax_cross_entropy": "optax.softmax_cross_entropy_with_integer_labels", "GELU":
        "jax.nn.gelu",
    },
    "optax": {
        "Adam": "optax.adam", "AdamW": "optax.adamw", "SGD": "optax.sgd", "RMSprop": "optax.rmsprop", "Adagrad":
        "optax.adagrad", "cross_entropy": "optax.softmax_cross_entropy", "mse_loss": "optax.squared_error",
        "cross_entropy_loss": "optax.softmax_cross_entropy", "mean_squared_error": "optax.squared_error",
        "clip_by_norm": "optax.clip_by_global_norm", "clip_grad_norm": "optax.clip_by_global_norm",
        "clip_grads": "optax.clip_by_global_norm", "weight_decay": "optax.add_decayed_weights",
        "binary_cross_entropy": "optax.sigmoid_binary_cross_entropy", "mse": "optax.squared_error",
        "sparse_softmax_cross_entropy": "optax.softmax_cross_entropy_with_integer_labels", "momentum":
        "optax.sgd", "cosine_decay": "optax.cosine_decay_schedule", "warmup_cosine_decay":
        "optax.warmup_cosine_decay_schedule", "linear_warmup": "optax.linear_schedule", "cosine_annealing":
        "optax.cosine_decay_schedule", "Optimizer": "optax.GradientTransformation", "gradient_clipping":
        "optax.clip_by_global_norm", "apply_gradients": "optax.apply_updates",
    },
    "flax.linen": {
        "Linear": "flax.linen.Dense", "Conv2d": "flax.linen.Conv", "Conv2D": "flax.linen.Conv", "Conv1d":
        "flax.linen.Conv", "Conv1D": "flax.linen.Conv", "Conv3d": "flax.linen.Conv", "BatchNorm1d":
        "flax.linen.BatchNorm", "BatchNorm2d": "flax.linen.BatchNorm", "Embedding": "flax.linen.Embed", "ReLU":
        "flax.linen.relu", "GELU": "flax.linen.gelu", "Sigmoid": "flax.linen.sigmoid", "Tanh":
        "flax.linen.tanh", "Softmax": "flax.linen.softmax", "MaxPool2d": "flax.linen.max_pool", "AvgPool2d":
        "flax.linen.avg_pool", "Dropout2d": "flax.linen.Dropout", "MultiheadAttention":
        "flax.linen.MultiHeadDotProductAttention", "LSTM": "flax.linen.LSTMCell", "GRU": "flax.linen.GRUCell",
        "SiLU": "flax.linen.silu",
        "LeakyReLU": "flax.linen.leaky_relu", "ModuleList": "flax.linen.Module", "Parameter":
        "flax.linen.Module.param",
    },
    "flax.nnx": {
        "Dense": "flax.nnx.Linear", "Embedding": "flax.nnx.Embed", "Conv2d": "flax.nnx.Conv", "Conv2D":
        "flax.nnx.Conv", "ReLU": "flax.nnx.relu", "Parameter": "flax.nnx.Param", "MultiheadAttention":
        "flax.nnx.MultiHeadAttention",
    },
}  # fmt: skip

MENTIONED = re.compile(
    r"\b((?:jax|jnp|optax|flax|haiku|orbax)(?:\.\w+)+)(?![\w(]|\.\w)"
)  # a call of it is more than a name


def replacement(dotted: str, stale: Stale, limits: Target) -> tuple[str, bool] | None:
    """Returns the name to write for a stale one, and whether the program then means the same; None where there is none.

    Of several that a release names, the first that all releases have that are allowed.
    """
    if dotted in SAME:
        return SAME[dotted], True
    if dotted in NEAR:
        return NEAR[dotted], False
    candidates = _mentioned(dotted, stale.said)
    package = dotted.partition(".")[0]
    there = [each for each in candidates if limits.has(table(package).added(each))]
    if not there:
        return None
    everywhere = [each for each in there if limits.always_has(table(package).added(each))]
    found = (everywhere or there)[0]
    return found, found.rpartition(".")[2] == dotted.rpartition(".")[2] or dotted.startswith("jax.tree_")


def _mentioned(dotted: str, said: str) -> list[str]:
    found = [
        each.replace("jnp.", "jax.numpy.", 1) if each.startswith("jnp.") else each for each in MENTIONED.findall(said)
    ]
    return [each for each in dict.fromkeys(found) if each != dotted and not dotted.startswith(f"{each}.")]
