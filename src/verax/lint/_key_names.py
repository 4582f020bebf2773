"""What calls do to the random keys that they are given, by name."""

from __future__ import annotations

import ast
import re

from verax.lint._module import Module

RANDOM = "jax.random."
SAMPLERS = frozenset(
    RANDOM + name
    for name in (
        "ball", "bernoulli", "beta", "binomial", "bits", "categorical", "cauchy", "chisquare", "choice", "dirichlet",
        "double_sided_maxwell", "exponential", "f", "gamma", "generalized_normal", "geometric", "gumbel", "laplace",
        "loggamma", "logistic", "lognormal", "maxwell", "multinomial", "multivariate_normal", "normal", "orthogonal",
        "pareto", "permutation", "poisson", "rademacher", "randint", "random_gamma_p", "rayleigh", "shuffle", "t",
        "triangular", "truncated_normal", "uniform", "wald", "weibull_min",
    )
)  # fmt: skip
SPLIT = RANDOM + "split"
FOLD_IN = (RANDOM + "fold_in",)
SEEDED = frozenset(RANDOM + name for name in ("PRNGKey", "key", "wrap_key_data", "threefry2x32_key", "unsafe_rbg_key"))
MADE = SEEDED | {RANDOM + "clone", "haiku.next_rng_key", "haiku.maybe_next_rng_key"}
# Draws that pick places: one key for several arrays keeps their rows together.
PAIRED = frozenset(RANDOM + name for name in ("permutation", "choice", "shuffle"))
# Draws that are noise in the shape of what gets it; a mask or a choice may be meant to be one for several arrays.
NOISE = frozenset(
    RANDOM + name for name in ("cauchy", "gumbel", "laplace", "logistic", "normal", "t", "truncated_normal")
)
TREE_MAPS = frozenset(("map", "map_with_path", "tree_map", "tree_map_with_path", "tree_multimap"))
# Names of helpers that change several arrays alike with one key, and of what wants one key in every pass.
ALIKE = re.compile(
    r"(crop|flip|rotat|translat|shift|jitter|augment|shuffle|permut|subsample|bootstrap|choice|resample|cutout|mixup)",
    re.IGNORECASE,
)
FIXED = re.compile(
    r"(^|[_.])(eval|evaluate|evaluation|inference|infer|test|testing|valid|val|validate|validation|predict|prediction"
    r"|generate_prediction|fixed|static|const|constant|viz|vis|visualize|plot)([_.]|$)"
)
EVALUATES = re.compile(r"(^|_)(eval|evaluate|evaluation|test|valid|validate|predict)(_|$)")
TEST_FILES = re.compile(r"(^|[/\\])(test_[^/\\]*|[^/\\]*_tests?|conftest)\.py$")
STATEFUL = re.compile(
    r"^(haiku\.PRNGSequence|flax\.nnx\.(Rngs|RngStream)|numpy\.random\..*|random\..*|torch\..*|builtins\.iter)$"
)
STATEFUL_TYPES = re.compile(
    r"\b(Rngs|RngStream|PRNGSequence|Generator|RandomState|Random|Iterator|Iterable|Callable|str|int|Hashable|RngSeq)\b"
)
LAYERS = re.compile(r"^equinox\.nn\.[A-Z]\w*$")
INITIALIZERS = ("jax.nn.initializers.", "flax.linen.initializers.", "flax.nnx.initializers.")
KEY_LIKE = re.compile(r"(^|_)(key|keys|rng|rngs|prng|prngkey|rngkey|subkey|subkeys|subrng)\d*$")
KEY_KEYWORDS = frozenset(("key", "rng", "rngs", "prng_key", "rng_key", "seed", "random_key", "prng"))

# Calls that look at a key, move it or store it, without a draw from it.
PASSIVE = re.compile(
    r"^(builtins\.|numpy\.|math\.|jax\.(numpy|debug|tree|tree_util|lax|sharding|core|dtypes|experimental\.multihost_utils)"
    r"\.|jax\.(device_put\w*|device_get|block_until_ready|eval_shape|typeof|make_array\w*|debug_\w+|make_jaxpr|ShapeDtypeStruct)$"
    r"|jax\.random\.(key_data|key_impl|key_dtype|clone)$|flax\.jax_utils\.|jax\.experimental\.(checkify|array_serialization)"
    r"|logging\.|absl\.logging\.|copy\.|pickle\.|dataclasses\.(asdict|fields|is_dataclass)|functools\.|itertools\."
    r"|orbax\.|chex\.|equinox\.(is_array|tree_pformat|tree_pprint|partition|combine|filter_shard|tree_at|error_if)"
    r"|numpy\.testing\.|pytest\.|typing\.|time\.|os\.|re\.|json\.|warnings\.)"
)
CONTAINER_METHODS = frozenset(
    (
        "append", "extend", "insert", "add", "get", "pop", "put", "setdefault", "items", "index", "count", "join",
        "copy",
        "startswith", "endswith", "format", "astype", "item", "tolist", "view", "reshape", "lower", "info", "warning",
        "error", "exception", "log", "write", "read", "key", "keys", "setattr", "getattr", "hasattr", "delattr",
        "remove",
        "discard", "trace", "block_until_ready", "device_put", "partial", "set_value", "send", "clone", "fold_in",
    )
)  # fmt: skip
PASSIVE_WORDS = re.compile(
    r"^_*(is|has|assert|expect|check|validate|verify|print|pprint|debug|warn|repr|save|store|restore|dump|serialize"
    r"|deserialize|copy|deepcopy|clone|fold|replicate|unreplicate|shard|broadcast|stack|to|as|from|wrap|unwrap|ensure"
    r"|canonicalize|convert|hash|eq|equal|set|key|keys|prng|eval_shape|log|specs?)(?=[A-Z_]|$)"
)
REPLACING = frozenset(("replace", "_replace", "tree_replace", "evolve"))


def sampled_by(module: Module, func: ast.expr) -> str | None:
    """Returns the name of what draws from the key that it is given first or as `key`: a sampler, or `split`.

    Initializers of weights count: `nn.initializers.lecun_normal()(key, shape)`. Transforms are looked through.
    """
    name = module.dotted(func)
    if name is not None:
        if name in SAMPLERS or name == SPLIT:
            return name
        if name.startswith(INITIALIZERS) and name.rpartition(".")[2] in ("zeros", "ones", "normal", "uniform"):
            return None  # `normal()` makes an initializer
    if isinstance(func, ast.Name) and name is None:
        func = module.value(func)
    if isinstance(func, ast.Call):
        name = module.dotted(func.func)
        if name is not None and name.startswith(INITIALIZERS):
            kind = name.rpartition(".")[2]
            return None if kind in ("zeros", "ones", "constant", "zeros_init", "ones_init") else name
        if name in ("jax.vmap", "jax.jit", "jax.pmap", "functools.partial") and func.args:
            first = module.dotted(func.args[0])
            if first in SAMPLERS or first == SPLIT:
                bound = len(func.args) > 1 or any(each.arg == "key" for each in func.keywords)
                return None if name == "functools.partial" and bound else first
            if name != "functools.partial" and isinstance(func.args[0], ast.Call):
                return sampled_by(module, func.args[0])
    return None


def key_like(name: str) -> bool:
    """Returns whether a name is one that people give to keys."""
    return KEY_LIKE.search(name.rpartition(".")[2].partition("[")[0]) is not None


def is_passive(dotted: str | None, last: str) -> bool:
    """Returns whether a call only looks at what it is given, or keeps it, as far as its name tells."""
    return (
        last in CONTAINER_METHODS
        or (dotted is not None and PASSIVE.match(dotted) is not None)
        or PASSIVE_WORDS.match(last) is not None
    )


def last_name(func: ast.expr) -> str:
    """Returns the last name of what a call calls: `init` of `model.init`."""
    while isinstance(func, ast.Call):
        func = func.func
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""


def in_test(module: Module, node: ast.AST) -> bool:
    """Returns whether a node is part of a test, where one key often serves to compare two ways to the same result."""
    if TEST_FILES.search(module.file):
        return True
    owner = module.class_around(node)
    functions = [node] if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else []
    names = [each.name for each in (*functions, *module.functions(node)) if not isinstance(each, ast.Lambda)]
    return any(name.startswith("test") for name in names) or (owner is not None and "Test" in owner.name)


def is_alike(first: str, second: str) -> bool:
    """Returns whether two calls are the same change of two arrays, whose places or chances one key is to pick."""
    return (first in PAIRED and second in PAIRED) or (
        first == second and ALIKE.search(first.rpartition(".")[2]) is not None
    )
