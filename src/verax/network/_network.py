"""A model from any library as two pure functions, and the one rule for its mode: a key means training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from verax.trees import Tree


class Variables(NamedTuple):
    """What a network holds.

    Attributes:
      params: what is trained, a tree of arrays.
      model_state: what a forward pass updates (batch statistics), a tree; empty for most networks.
    """

    params: Tree
    model_state: Tree


@dataclass(frozen=True)
class Network:
    """A model as two pure functions.

    `init(key, inputs) -> Variables` and `apply(variables, inputs, key, training) -> (outputs, model_state)`. Call the
    network itself rather than `apply_fn`: it holds the rule for the mode.

    Attributes:
      init: draws the initial variables; `inputs` is a batch (its values do not matter, its shapes and dtypes do).
      apply_fn: the forward pass, called with an explicit mode: `apply_fn(variables, inputs, key, training)`.
      library: where the model comes from: `linen`, `nnx`, `haiku`, `equinox`, `functions`.
      name: for reports.
      refuses: the reasons why a mode cannot be had, by mode name (`noise_without_statistics`,
        `statistics_without_noise`); an adapter that can do both leaves it empty.
      rebuild: from variables to the library's own module, where it has one that holds its weights (see `module`).
    """

    init: Callable[[Any, Tree], Variables]
    apply_fn: Callable[[Variables, Tree, Any, bool], tuple[Tree, Tree]]
    library: str = "functions"
    name: str = "network"
    refuses: tuple[tuple[str, str], ...] = ()
    rebuild: Callable[[Variables], Any] | None = None

    def apply(
        self, variables: Variables, inputs: Tree, *, key: Any = None, training: bool | None = None
    ) -> tuple[Tree, Tree]:
        """Returns the outputs and the next `model_state`.

        With a key the network trains: noise is on, batch statistics are used and updated. Without one it is evaluated.
        The two other combinations are asked for by name, with `training`: a key and `training=False` is noise with
        frozen statistics (Monte Carlo dropout, sampling networks); no key and `training=True` is training statistics
        without noise (overfit and gradient checks).

        Args:
          variables: parameters and model state.
          inputs: a batch; any tree with a leading axis of examples.
          key: a typed random key, or None.
          training: a static bool; None means `key is not None`.

        Raises:
          ValueError: if the adapter cannot do the combination that was asked for.
        """
        training = key is not None if training is None else training
        combination = {(True, False): "noise_without_statistics", (False, True): "statistics_without_noise"}
        name = combination.get((key is not None, training))
        reason = dict(self.refuses).get(name) if name else None
        if reason:
            given = "given" if key is not None else None
            raise ValueError(f"{self.name} cannot be applied with key={given}, training={training}: {reason}")
        return self.apply_fn(variables, inputs, key, training)

    def module(self, variables: Variables) -> Any:
        """Returns the library's own module with these variables, in evaluation mode: of NNX, Equinox, or bound Linen.

        A stateful Equinox model is the pair `(module, state)`.

        Args:
          variables: parameters and model state, such as `run.state.variables`.

        Raises:
          ValueError: if the library keeps weights apart from functions, so that there is no such thing.

        Example:
          >>> from flax import linen as nn
          >>> network = vx.from_linen(nn.Dense(3))
          >>> network.module(network.init(jax.random.key(0), jnp.zeros((2, 4))))(jnp.ones((5, 4))).shape
          (5, 3)
        """
        if self.rebuild is None:
            raise ValueError(f"{self.name} is a function of its variables, of which no module is made. Call apply.")
        return self.rebuild(variables)
