"""Names of attributes, functions and types by what they give of a traced value."""

from __future__ import annotations

STATIC_ATTRIBUTES = {
    "shape", "dtype", "ndim", "size", "sharding", "aval", "weak_type", "nbytes", "itemsize", "device", "devices",
    "__name__", "__class__",
}  # fmt: skip
ARRAY_ATTRIBUTES = {"T", "mT", "real", "imag", "at"}
LEAVES = {"params", "opt_state", "batch_stats", "step", "grads"}  # of a train state: never what is left out of its tree
ARRAY_METHODS = {
    "sum", "mean", "max", "min", "any", "all", "prod", "std", "var", "argmax", "argmin", "argsort", "astype", "reshape",
    "ravel", "flatten", "squeeze", "transpose", "swapaxes", "dot", "cumsum", "cumprod", "clip", "round", "conj", "take",
    "trace", "diagonal", "repeat", "ptp", "view", "nonzero", "block_until_ready", "set", "multiply", "divide", "power",
    "apply", "searchsorted",
}  # fmt: skip
TREE_METHODS = {"replace", "_replace", "_asdict"}
STATIC_NUMPY = {
    "shape", "ndim", "size", "dtype", "issubdtype", "result_type", "iinfo", "finfo", "isscalar", "iscomplexobj",
    "isrealobj", "promote_types", "can_cast", "broadcast_shapes", "set_printoptions", "get_printoptions", "vectorize",
    "ufunc", "frompyfunc", "array_repr", "array_str", "array2string", "load", "save", "savez", "index_exp", "s_",
    "einsum_path", "ndarray", "printoptions",
}  # fmt: skip
MASK_NUMPY = {
    "isnan", "isinf", "isfinite", "isneginf", "isposinf", "logical_and", "logical_or", "logical_not", "logical_xor",
    "equal", "not_equal", "greater", "greater_equal", "less", "less_equal", "isclose", "signbit", "isin", "iscomplex",
    "isreal",
}  # fmt: skip
SEVERAL_NUMPY = {
    "split", "array_split", "hsplit", "vsplit", "dsplit", "meshgrid", "broadcast_arrays", "nonzero", "modf", "divmod",
    "frexp", "unstack", "atleast_1d", "atleast_2d", "atleast_3d", "histogram", "gradient", "ix_", "indices",
}  # fmt: skip
ARRAY_LINALG = {
    "norm", "det", "inv", "pinv", "solve", "cholesky", "matrix_power", "matrix_rank", "cond", "expm", "eigvals",
    "eigvalsh", "solve_triangular", "cho_solve", "multi_dot", "tensorsolve", "tensorinv", "svdvals", "vector_norm",
    "matrix_norm", "logpdf", "logcdf", "pdf", "cdf", "logpmf", "pmf", "ppf", "sf", "logsf",
}  # fmt: skip
MASK_LAX = {"eq", "ne", "gt", "ge", "lt", "le", "is_finite"}
TREE_LAX = {
    "cond", "switch", "scan", "while_loop", "fori_loop", "map", "associative_scan", "top_k", "stop_gradient", "psum",
    "pmean", "pmax", "pmin", "all_gather", "custom_root", "custom_linear_solve", "with_sharding_constraint", "sort",
    "ppermute", "all_to_all", "optimization_barrier", "approx_max_k", "approx_min_k",
}  # fmt: skip
TREE_FUNCTIONS = {
    "jax.tree.map", "jax.tree_util.tree_map", "jax.tree_map", "jax.tree.unflatten", "jax.tree_util.tree_unflatten",
    "jax.tree.transpose", "jax.tree.reduce", "jax.tree_util.tree_reduce", "jax.block_until_ready", "jax.device_put",
    "optax.apply_updates", "optax.incremental_update", "jax.tree.map_with_path", "jax.tree_util.tree_map_with_path",
    "flax.core.freeze", "flax.core.unfreeze",
}  # fmt: skip
LEAVES_FUNCTIONS = {"jax.tree.leaves", "jax.tree_util.tree_leaves", "jax.tree_leaves"}
FLATTEN = {"jax.tree.flatten", "jax.tree_util.tree_flatten", "jax.tree_flatten"}
OPTAX_ARRAYS = {
    "optax.global_norm", "optax.tree_utils.tree_l2_norm", "optax.tree.norm", "optax.cosine_similarity",
    "optax.squared_error", "optax.l2_loss", "optax.huber_loss", "optax.log_cosh", "optax.hinge_loss",
    "optax.softmax_cross_entropy", "optax.softmax_cross_entropy_with_integer_labels", "optax.cosine_distance",
    "optax.sigmoid_binary_cross_entropy", "optax.kl_divergence", "optax.smooth_labels", "optax.ctc_loss",
    "optax.sigmoid_focal_loss", "optax.convex_kl_divergence",
}  # fmt: skip
MAPS = {"jax.tree.map", "jax.tree_util.tree_map", "jax.tree_map", "builtins.map"}
LAYERS = ("flax.linen.", "flax.nnx.", "haiku.", "equinox.nn.")
ARRAY_TYPES = {
    "Array", "ArrayLike", "ndarray", "jnp.ndarray", "DeviceArray", "Float", "Int", "Shaped", "Num", "Inexact", "UInt",
    "PRNGKeyArray", "Key", "ArrayImpl", "Bool", "Real", "Complex", "Scalar",
}  # fmt: skip
PLAIN_TYPES = {"Callable", "Module", "Config", "ConfigDict", "dtype", "DTypeLike", "Dtype", "DType", "type", "Type"}
FLAG_NAMES = {
    "train", "training", "is_training", "is_train", "deterministic", "inference", "verbose", "debug", "is_eval",
    "eval_mode", "train_mode", "use_running_average", "testing", "is_test",
}  # fmt: skip
TESTS_OF_KIND = {
    "builtins.isinstance", "builtins.issubclass", "builtins.type", "builtins.hasattr", "builtins.callable",
    "jax.core.is_concrete", "jax.core.is_constant_dim",
}  # fmt: skip
