"""A network as one table: its parameters, how they are drawn, and what a forward pass costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.debug._describe import LeafDescription, aligned, describe
from verax.debug._layers import Reading, facts_of, kept_bytes
from verax.findings import Finding, Leaf
from verax.jaxpr import straight_threefry
from verax.network import Network, Variables, as_network
from verax.trees import Tree, count, host, is_floating, leaves_by_path, shape_text

FAR = 3.0  # PyTorch's default, 0.41 of He's std, trains; ten relu layers with a third of it keep 1e-5 of their input
ENOUGH = 16  # numbers from which a std is known to a fifth


@dataclass(frozen=True)
class ShownLeaf:
    """One parameter.

    Attributes:
      leaf: path, shape, dtype and number of elements.
      share: of all parameters, in [0, 1].
      mean: of its initial values; None where they are no numbers.
      std: their standard deviation.
      expected_std: that of the scheme for what follows; None where nothing is expected.
      scheme: `He`, `LeCun` or `Glorot`; empty where nothing is expected.
      follows: what its outputs go into first, such as `relu`, `norm`, `residual`, `output`; empty if it is no layer.
      at_most: whether a smaller std is as good, because the layer's scale cannot pile up: its inputs are normalised,
        or its outputs are added to something, or are those of the network.
      flops: multiplications and additions in matrix products and convolutions, from this layer to the next.
      kept_bytes: of arrays that a gradient keeps, from this layer to the next.
    """

    leaf: LeafDescription
    share: float
    mean: float | None = None
    std: float | None = None
    expected_std: float | None = None
    scheme: str = ""
    follows: str = ""
    at_most: bool = False
    flops: int | None = None
    kept_bytes: int | None = None

    @property
    def ratio(self) -> float | None:
        """The std over the expected one; None where nothing is expected."""
        if self.std is None or not self.expected_std:
            return None
        return self.std / self.expected_std

    @property
    def is_far_off(self) -> bool:
        """Whether the std is at least 3 times the expected one, or at most a third where small is not as good."""
        if self.ratio is None or self.leaf.count < ENOUGH:
            return False
        return self.ratio >= FAR or (self.ratio <= 1 / FAR and not self.at_most)


@dataclass(frozen=True)
class Shown:
    """A network's parameters and what a forward pass costs; prints as a table.

    Attributes:
      network: its name.
      leaves: the parameters.
      inputs: dtypes and shapes of the inputs that were shown to it.
      outputs: those of its outputs.
      flops: multiplications and additions in the matrix products and convolutions of a forward pass in evaluation.
        Loops whose length is not known count once.
      kept_bytes: of all arrays computed from the inputs that a forward pass in training keeps for the gradient, as JAX
        traces it; the compiler may keep fewer. Parameters and the inputs themselves are not counted.
      state_count: numbers in the model state (running statistics).
    """

    network: str
    leaves: tuple[ShownLeaf, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    flops: int
    kept_bytes: int
    state_count: int = 0

    @property
    def total(self) -> int:
        """The number of parameters."""
        return sum(each.leaf.count for each in self.leaves)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """A warning for each parameter whose initial std is far off."""
        return tuple(_finding(each) for each in self.leaves if each.is_far_off)

    def __str__(self) -> str:
        head = ("path", "shape", "dtype", "count", "share", "mean", "std", "expected", "FLOPs", "kept", "")
        rows = [head, *(_row(each) for each in self.leaves)]
        flops = self.flops - sum(each.flops or 0 for each in self.leaves)
        kept = self.kept_bytes - sum(each.kept_bytes or 0 for each in self.leaves)
        if flops or kept:
            rows.append(("(before any layer)", *[""] * 7, _short(flops), _short(kept, "B"), ""))
        total = f"{self.total:,}"
        rows.append(("total", "", "", total, *[""] * 4, _short(self.flops), _short(self.kept_bytes, "B"), ""))
        table = aligned(rows, right=(3, 4, 5, 6, 8, 9))
        state = f" Model state: {self.state_count:,} numbers." if self.state_count else ""
        return (
            f"{self.network}: {', '.join(self.inputs)} -> {', '.join(self.outputs)}\n{table}\n"
            f"FLOPs: products and convolutions of a forward pass. kept: what a gradient keeps of it.{state}"
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the table as plain values for JSON."""
        leaves = [
            {**asdict(each.leaf), **{name: value for name, value in vars(each).items() if name != "leaf"}}
            | {"ratio": each.ratio, "is_far_off": each.is_far_off}
            for each in self.leaves
        ]
        numbers = {"total": self.total, "flops": self.flops, "kept_bytes": self.kept_bytes, "state": self.state_count}
        named = {"network": self.network, "inputs": list(self.inputs), "outputs": list(self.outputs)}
        return {**named, **numbers, "leaves": leaves, "findings": [str(finding) for finding in self.findings]}


def show(network: Any, inputs: Tree, *, key: Any = None) -> Shown:
    """Returns a network's parameters, how they are drawn, and what a forward pass on these inputs costs.

    The initial standard deviation of each weight is held against the one that suits what follows its layer, read from
    the traced program: He's scheme before relu and its like, LeCun's before selu and where nothing follows, Glorot's
    before tanh and sigmoid (`vx.models.initial_scheme`). Nothing is expected of biases, scales, embeddings, and layers
    that a normalisation follows, whose scale does not matter. Weights that are 3 times too large or too small are
    marked; too small is not held against the end of a residual branch, the network's last layer, and a layer whose
    inputs are normalised. Operations and bytes count with the layer that ran last.

    Args:
      network: a model of any library that `vx.as_network` takes.
      inputs: a batch.
      key: draws the weights; `jax.random.key(0)` if None.

    Example:
      >>> from flax import linen as nn
      >>> shown = show(nn.Dense(3, kernel_init=nn.initializers.normal(5.0)), jnp.ones((2, 8)))
      >>> shown.total, shown.flops
      (27, 96)
      >>> [(each.leaf.path, each.follows) for each in shown.leaves if each.is_far_off]
      [('kernel', 'output')]
    """
    adapted: Network = as_network(network)
    key = jax.random.key(0) if key is None else key
    inputs = jax.tree.map(jnp.asarray, inputs)
    variables = jax.jit(adapted.init)(_fast(key), inputs)
    outputs, forward, kept = _read(adapted, variables, inputs, key)
    described, total = describe(variables.params).leaves, count(variables.params)
    leaves = tuple(
        _shown(leaf, value, total, forward, kept)
        for leaf, value in zip(described, jax.tree.leaves(variables.params), strict=True)
    )
    return Shown(
        adapted.name,
        leaves,
        tuple(map(shape_text, jax.tree.leaves(inputs))),
        tuple(map(shape_text, jax.tree.leaves(outputs))),
        sum(forward.flops.values()),
        sum(kept.values()),
        count(variables.model_state),
    )


def _fast(key: Any) -> Any:
    """Returns a key of the same bits whose generator compiles four times faster; one of another kind as it is."""
    if key.dtype != jax.random.key(0, impl="threefry2x32").dtype:
        return key
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=straight_threefry())


def _read(
    network: Network, variables: Variables, inputs: Tree, key: Any
) -> tuple[Tree, Reading, dict[str | None, int]]:
    """Returns the shapes of the outputs, a reading of the forward pass, and what a gradient keeps, by layer."""
    paths, state, data = list(leaves_by_path(variables.params)), variables.model_state, len(jax.tree.leaves(inputs))
    others = len(jax.tree.leaves(state))

    def forward(params: Tree, state: Tree, inputs: Tree) -> Tree:
        return network.apply(Variables(params, state), inputs)[0]

    def kept(params: Tree, state: Tree, inputs: Tree, key: Any) -> Tree:
        def training(params: Tree) -> Tree:
            return network.apply(Variables(params, state), inputs, key=key)[0]

        return jax.tree.leaves(jax.vjp(training, params)[1])

    program, outputs = jax.make_jaxpr(forward, return_shape=True)(variables.params, state, inputs)
    backward = jax.make_jaxpr(kept)(variables.params, state, inputs, key)
    reading = Reading(program, list(facts_of(paths, others, data)))
    return outputs, reading, kept_bytes(backward, Reading(backward, list(facts_of(paths, others, data + 1))))


def _shown(leaf: LeafDescription, value: Any, total: int, forward: Reading, kept: dict[str | None, int]) -> ShownLeaf:
    numbers = host(value).astype(np.float64) if is_floating(value) and leaf.count else None
    mean, std = (None, None) if numbers is None else (float(numbers.mean()), float(numbers.std()))
    share, layer = leaf.count / max(total, 1), forward.layers.get(leaf.path)
    if layer is None:
        return ShownLeaf(leaf, share, mean, std)
    follows = "" if layer.looked_up else _follows(layer.follows)
    scheme = None if layer.looked_up else _scheme(follows)
    return ShownLeaf(
        leaf,
        share,
        mean,
        std,
        scheme.std(layer.fan_in, layer.fan_out) if scheme else None,
        scheme.name if scheme else "",
        "embedding" if layer.looked_up else follows,
        layer.rescaled or layer.summed or follows in ("residual", "output", "softmax"),
        forward.flops.get(leaf.path, 0),
        kept.get(leaf.path, 0),
    )


def _follows(marks: set[str]) -> str:
    """Returns in a word what a layer's outputs go into; several words where they go into several things."""
    if "gelu" in marks:
        return "gelu"  # written out, it has sums and products of its input too
    if marks == {"sigmoid", "product"}:
        return "silu"
    for pair, word in (({"norm", "residual"}, "residual"), ({"linear", "residual"}, "linear")):
        if marks == pair:
            return word
    return ", ".join(sorted(marks))


def _scheme(follows: str) -> Any:
    """Returns the scheme for what follows a layer; None where none is expected."""
    from verax.models import ACTIVATIONS, initial_scheme  # Flax is slow to import

    if follows in ("linear", "output", "residual", "softmax"):
        return initial_scheme(None)
    schemes = {initial_scheme(word) if word in ACTIVATIONS else None for word in follows.split(", ")}
    return schemes.pop() if len(schemes) == 1 else None


def _finding(each: ShownLeaf) -> Finding:
    message = f"initial std {each.std:.2g} is x{each.ratio:.2g} of the {each.expected_std:.2g} that {each.scheme}'s "
    message += f"scheme gives before {each.follows}."
    advice = "Activations grow or vanish with depth: give the layer that initialiser, or normalise after it."
    return Finding("initial-scale", "warning", message, advice, Leaf(each.leaf.path))


def _row(each: ShownLeaf) -> tuple[str, ...]:
    expected = "-" if not each.follows else f"- ({each.follows})"
    if each.expected_std is not None:
        expected = f"{'<= ' if each.at_most else ''}{each.expected_std:.3g} ({each.scheme}, {each.follows})"
    mark = f"x{each.ratio:.2g} of expected" if each.is_far_off else ""
    leaf = each.leaf
    numbers = ("-" if value is None else f"{value:.3g}" for value in (each.mean, each.std))
    costs = (
        "-" if each.flops is None else _short(each.flops),
        "-" if each.kept_bytes is None else _short(each.kept_bytes, "B"),
    )
    return (
        leaf.path,
        str(leaf.shape),
        leaf.dtype,
        f"{leaf.count:,}",
        f"{each.share:.1%}",
        *numbers,
        expected,
        *costs,
        mark,
    )


def _short(number: float | int, unit: str = "") -> str:
    """Returns a number with three digits and a prefix of thousands: `1.23 M`."""
    for prefix in ("", "k", "M", "G", "T"):
        if number < 999.5 or prefix == "T":
            break
        number /= 1000
    return f"{number:.3g} {prefix}{unit}".strip()
