"""Diagnoses: initialisation."""

from verax.doctor.catalogue._page import LARGE, NONFINITE, POOR, Page

GROUP = "Initialisation"

PAGES = (
    Page(
        "symmetric-initialization",
        group=GROUP,
        kind="cause",
        meaning="units start equal and stay equal",
        symptom="A wide layer does no better than one unit.",
        cause=(
            "Its units start with equal weights, get equal gradients and stay equal: a constant initialiser, or "
            "one key for several layers."
        ),
        evidence="The layer, and how many of its units differ, in weights and in gradients.",
        fix="Initialise at random, with a key of its own for each layer.",
        change=(
            "- nn.Dense(64, kernel_init=nn.initializers.constant(0.1))",
            "+ nn.Dense(64)  # LeCun normal",
        ),
        false_alarm=(
            "Biases and last layers of zeros and scales of one are right: only equal units of a hidden layer count."
        ),
        part="model",
        proof="exact",
        explains=(
            *POOR,
            "insufficient-capacity",
            "parameter-without-gradient",
            "vanishing-initialization",
            "vanishing-gradient",
        ),
    ),
    Page(
        "exploding-initialization",
        group=GROUP,
        kind="cause",
        meaning="initial weights so large that signals grow from layer to layer",
        symptom="The first loss is huge, hidden units are saturated, and a usual learning rate diverges.",
        cause="The initial weights are too large for the width of the layers, so signals grow from layer to layer.",
        evidence=(
            "The deviation of the activations by layer, that of the weights beside 1/sqrt(fan in), and the loss "
            "after some steps with usual weights."
        ),
        fix="Use He's scheme before rectifiers, LeCun's or Glorot's otherwise.",
        change=(
            "- nn.Dense(256, kernel_init=nn.initializers.normal(1.0))",
            "+ nn.Dense(256, kernel_init=nn.initializers.he_normal())",
        ),
        false_alarm="Sine networks, embeddings of unit size and layers that are normalised afterwards may start large.",
        part="model",
        proof="counterfactual",
        explains=(
            *POOR,
            *LARGE,
            *NONFINITE,
            "exploding-activation",
            "saturated-activation",
            "dying-relu",
            "vanishing-gradient",
            "bad-initial-loss",
            "learning-rate-too-high",
            "initial-scale",
            "over-clipping",
            "exp-overflow",
        ),
        sources=("He et al. (2015), Delving Deep into Rectifiers, section 2.2",),
    ),
    Page(
        "vanishing-initialization",
        group=GROUP,
        kind="cause",
        meaning="initial weights so small that signals die out",
        symptom="The outputs are all but equal for every input, and the loss stays flat for a long time.",
        cause="The initial weights are too small: signals and gradients shrink from layer to layer.",
        evidence="The deviation of the activations by layer, and the loss after some steps with usual weights.",
        fix="Use He's scheme before rectifiers, LeCun's or Glorot's otherwise.",
        change=(
            "- nn.Dense(256, kernel_init=nn.initializers.normal(1e-3))",
            "+ nn.Dense(256, kernel_init=nn.initializers.he_normal())",
        ),
        false_alarm="A last layer of zeros, and residual branches that start at zero, are chosen.",
        part="model",
        proof="counterfactual",
        explains=(
            *POOR,
            "vanishing-gradient",
            "learning-rate-too-low",
            "input-ignored",
            "insufficient-training",
            "initial-scale",
        ),
        sources=(
            "Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural networks",
        ),
    ),
    Page(
        "bad-initial-loss",
        group=GROUP,
        kind="symptom",
        meaning="the loss at the start is far from that of an uninformed answer",
        symptom="The loss at the start is far above that of a guess.",
        cause="Outputs are too large, the last bias is wrong, or outputs and loss do not fit.",
        evidence="The first loss, and what the loss gives for an uninformed answer.",
        fix="Look for the cause among the other findings; else scale the last layer down.",
        false_alarm="Label smoothing and weights shift the expected value: it is taken from the loss itself.",
        part="model",
        proof="symptom",
    ),
    Page(
        "output-bias-mismatch",
        group=GROUP,
        kind="cause",
        meaning="the output bias starts far from the base rate or mean",
        symptom="The first epochs only learn the base rate or the mean.",
        cause="The last bias starts at zero, and the targets are rare or far from zero.",
        evidence="The loss of the best constant beside the first loss.",
        fix="Start the last bias at the mean of the targets, or at log(p / (1 - p)) of the base rate.",
        change=(
            "- nn.Dense(1)(x)",
            "+ nn.Dense(1, bias_init=nn.initializers.constant(np.log(rate / (1 - rate))))(x)",
        ),
        false_alarm="Fast optimizers cross the distance in a few steps: a remark then.",
        part="model",
        proof="counterfactual",
        explains=("bad-initial-loss",),
    ),
    Page(
        "initial-scale",
        group=GROUP,
        kind="cause",
        meaning="a layer starts with another deviation than its scheme gives",
        symptom="Activations grow or vanish with depth.",
        cause="A layer starts with another deviation than the scheme for the activation after it gives.",
        evidence="The deviation of the layer's weights, and the expected one.",
        fix="Give the layer that initialiser, or normalise after it.",
        false_alarm=(
            "It is a table of numbers, not of harm: exploding-initialization and vanishing-initialization say "
            "whether it matters."
        ),
        part="model",
        proof="exact",
        explains=("bad-initial-loss",),
    ),
)
