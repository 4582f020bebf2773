"""Diagnoses: activation."""

from verax.doctor.catalogue._page import POOR, Page

GROUP = "Activation"

PAGES = (
    Page(
        "dying-relu",
        group=GROUP,
        kind="cause",
        meaning="rectified units that are silent on every example",
        symptom="The loss stops early; parts of the network have gradients of exactly zero.",
        cause=(
            "Rectified units are negative on every row, so that nothing passes them forward or backward: a large "
            "step, a bias far below zero, or weights of one sign."
        ),
        evidence="Units that are silent on all rows of the probe, by layer, at the start and after some steps.",
        fix=(
            "Start biases at zero and weights by He's scheme, lower the learning rate, or use an activation that "
            "is nowhere flat."
        ),
        change=(
            "- nn.Dense(64, bias_init=nn.initializers.constant(-3.0))",
            "+ nn.Dense(64)",
        ),
        false_alarm=(
            "Half of all activations are zero in any healthy network, and wide ones train well with a third of "
            "their units silent: a unit counts only if no row wakes it."
        ),
        part="model",
        proof="counterfactual",
        explains=(*POOR, "vanishing-gradient", "parameter-without-gradient", "input-ignored", "insufficient-capacity"),
        sources=("Lu et al. (2020), Dying ReLU and Initialization",),
    ),
    Page(
        "saturated-activation",
        group=GROUP,
        kind="cause",
        meaning="hidden units stuck in the flat ends of their activation",
        symptom="Training is slow from the first step; gradients of early layers are tiny.",
        cause=(
            "Hidden units of tanh or sigmoid sit in the flat ends, where the derivative is next to zero: inputs "
            "or weights are too large."
        ),
        evidence="The share of units and rows whose derivative is below 0.001, by layer.",
        fix="Scale inputs and initial weights, normalise before the activation, or use ReLU or GELU.",
        false_alarm="Gates and outputs saturate by right: only hidden layers count.",
        part="model",
        proof="counterfactual",
        explains=(
            *POOR,
            "vanishing-gradient",
            "parameter-without-gradient",
            "learning-rate-too-low",
            "insufficient-capacity",
        ),
    ),
    Page(
        "exploding-activation",
        group=GROUP,
        kind="symptom",
        meaning="activations of extreme size",
        symptom="Activations of thousands and more.",
        cause="Large inputs, large weights, or steps that are too long.",
        evidence="The deviation of the activations, layer by layer.",
        fix="Look for the cause among the other findings; else normalise.",
        false_alarm="Residual streams without normalisation grow slowly with depth.",
        part="model",
        proof="symptom",
    ),
    Page(
        "wrong-output-activation",
        group=GROUP,
        kind="cause",
        meaning="the output cannot take the values of the targets",
        symptom="Predictions stop at a bound; the loss stops well above zero.",
        cause=(
            "The last activation cannot give the values of the targets: a sigmoid for targets beyond 1, a "
            "rectifier for negative ones."
        ),
        evidence="The range of the outputs, and the share of the targets outside of it.",
        fix="End with a linear layer, or with an activation that covers the targets.",
        change=(
            "- return nn.relu(nn.Dense(1)(x))",
            "+ return nn.Dense(1)(x)",
        ),
        false_alarm="Softplus for counts and tanh for targets within -1 and 1 are right.",
        part="model",
        proof="exact",
        explains=(
            *POOR,
            "dying-relu",
            "saturated-activation",
            "insufficient-capacity",
            "parameter-without-gradient",
            "vanishing-gradient",
            "unscaled-target",
            "bad-initial-loss",
        ),
    ),
    Page(
        "double-softmax",
        group=GROUP,
        kind="cause",
        meaning="softmax applied in the model and again in the loss",
        symptom="Training is slow, and the loss stops well above zero though the accuracy is fair.",
        cause="The network ends with a softmax, and the loss applies another.",
        evidence="Rows of the outputs sum to 1, and the loss of a perfect answer is not zero but log(1 + (C - 1)/e).",
        fix="Return logits.",
        change=(
            "- return nn.softmax(nn.Dense(10)(x))",
            "+ return nn.Dense(10)(x)",
        ),
        false_alarm=(
            "Probabilities with a loss of their logarithm are right: the value of the loss decides, not the sum "
            "of the rows."
        ),
        part="model",
        proof="exact",
        explains=(
            *POOR,
            "wrong-output-activation",
            "vanishing-gradient",
            "miscalibration",
            "learning-rate-too-low",
            "insufficient-capacity",
            "insufficient-training",
        ),
    ),
    Page(
        "double-sigmoid",
        group=GROUP,
        kind="cause",
        meaning="sigmoid applied in the model and again in the loss",
        symptom="Training is slow, and the loss stops near 0.31 to 0.69.",
        cause="The network ends with a sigmoid, and the loss applies another.",
        evidence="Outputs lie within 0 and 1, and the loss at output 0 and label 0 is 0.693 and not 0.",
        fix="Return the logit.",
        change=(
            "- return nn.sigmoid(nn.Dense(1)(x))[:, 0]",
            "+ return nn.Dense(1)(x)[:, 0]",
        ),
        false_alarm="Outputs within 0 and 1 by chance do not count: the program must apply the sigmoid.",
        part="model",
        proof="exact",
        explains=(
            *POOR,
            "wrong-output-activation",
            "vanishing-gradient",
            "miscalibration",
            "learning-rate-too-low",
            "insufficient-capacity",
            "insufficient-training",
        ),
    ),
    Page(
        "wrong-softmax-axis",
        group=GROUP,
        kind="cause",
        meaning="softmax over an axis that is not that of the classes",
        symptom="Training looks well, and predictions change with the batch.",
        cause="A softmax runs over the batch or another axis instead of the classes.",
        evidence="The sums of the outputs along each axis, at two batch sizes.",
        fix="Name the axis.",
        change=(
            "- probabilities = jax.nn.softmax(logits, axis=0)",
            "+ probabilities = jax.nn.softmax(logits, axis=-1)",
        ),
        false_alarm="With a batch of one the axes cannot be told apart.",
        part="model",
        proof="exact",
        explains=(
            *POOR,
            "cross-example-leak",
            "train-eval-discrepancy",
            "batch-size-dependent-output",
            "miscalibration",
            "bad-initial-loss",
            "overfitting",
        ),
    ),
)
