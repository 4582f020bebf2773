"""nanoGPT on a CPU: 1.88 nats a character on Tiny Shakespeare after 2,000 steps (its README).

    python examples/published/nanogpt_shakespeare.py [DATA FOLDER]
    verax train examples/published/nanogpt_shakespeare.py

A character-level GPT of 4 layers, 4 heads and 128 channels with a context of 64, no dropout and no biases; AdamW
(betas .9 and .99, decay .1 on matrices), 100 steps of warm-up to 1e-3, a cosine to 1e-4 at step 2,000, gradients
clipped to norm 1, batches of 12. It trains on the first 90 % of the text. Two things differ: a step's windows are
drawn without replacement from all 1,003,790 of them, there with it; and the loss is that of the whole last 10 %, cut
into windows of 64, there of 20 random batches.
"""

import os
import sys
from pathlib import Path
from typing import Any

import optax

import verax as vx

PUBLISHED = "1.88"
CONTEXT = 64


def text(stride: int) -> vx.data.Source:
    """Returns the text as windows that begin every `stride` characters; its last tenth, held out, is the test split."""
    path = Path(os.environ.get("VERAX_DATA", ".")) / "text" / "tinyshakespeare.txt"
    return vx.data.from_text(path, context=CONTEXT, stride=stride, validation=0.0, test=0.1)


def experiment(learning_rate: float = 1e-3, weight_decay: float = 0.1, steps: int = 2000) -> vx.Experiment:
    """Returns the experiment."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, learning_rate, warmup_steps=min(100, steps // 2), decay_steps=steps, end_value=learning_rate / 10
    )
    adamw = optax.adamw(schedule, b1=0.9, b2=0.99, weight_decay=weight_decay)
    return vx.Experiment(
        network=vx.models.Transformer(layers=4, heads=4, width=128, context=CONTEXT, vocabulary=65, bias=False),
        objective=vx.language_model(),
        optimizer=optax.chain(vx.clip_by_global_norm(1.0), adamw),
        data=text(stride=1),
        batch_size=12,
        steps=steps,
    )


def measure(*, rows: int | None = None, **hyperparameters: Any) -> dict[str, Any]:
    """Returns the loss of a character held out, in nats, with its interval over the windows (the first `rows`)."""
    run = vx.train(experiment, **hyperparameters)
    held_out = text(stride=CONTEXT).load().examples("test")
    windows = vx.data.Examples(held_out.inputs[:rows], held_out.targets[:rows])
    found = vx.evaluate(run.network, run.experiment.objective, run.variables, windows)
    return {"loss": found.metrics["loss"]}


def main() -> None:
    """Runs the protocol on the data in the folder given, or in that of VERAX_DATA, and prints what came of it."""
    if len(sys.argv) > 1:
        os.environ["VERAX_DATA"] = sys.argv[1]
    print(f"loss of a character held out: {measure()['loss']}; published {PUBLISHED}")


if __name__ == "__main__":
    main()
