"""Diagnoses: purity and performance."""

from verax.doctor.catalogue._page import Page

GROUP = "Purity and performance"

PAGES = (
    Page(
        "impure-function",
        group=GROUP,
        kind="cause",
        meaning="a function under trace depends on or changes outside state",
        symptom="What is compiled once behaves otherwise than what is called, or two traces differ.",
        cause="A traced function reads or changes what is outside of it: a list, a counter, the clock.",
        evidence="What differs between two traces, or what was changed.",
        fix="Pass state in as an argument, and return it.",
        change=(
            "- history.append(loss)  # inside jit",
            "+ return params, loss",
        ),
        false_alarm="Printing is harmless.",
        part="model",
        proof="exact",
        explains=("tracer-leak", "recompilation", "nondeterministic-eval"),
    ),
    Page(
        "tracer-leak",
        group=GROUP,
        kind="cause",
        meaning="a traced value escapes its function",
        symptom="UnexpectedTracerError, at some later call.",
        cause="A value of the trace was stored outside: on self, in a list, in a global.",
        evidence="The name that holds it.",
        fix="Return the value.",
        change=(
            "- self.last = x",
            "+ return x",
        ),
        false_alarm="Debuggers hold on to values too.",
        part="model",
        proof="exact",
    ),
    Page(
        "recompilation",
        group=GROUP,
        kind="cause",
        meaning="a function is compiled again and again",
        symptom="Steps take seconds now and then; the first epoch never ends.",
        cause=(
            "A shape, a type or a static argument changes from call to call: a last batch that is smaller, a "
            "Python number that is static."
        ),
        evidence="What changed between the calls, and the seconds that compiling took.",
        fix="Drop or pad the last batch; pass numbers as arrays.",
        change=(
            "- starts = range(0, rows, size)",
            "+ starts = range(0, rows - size + 1, size)",
        ),
        false_alarm="One program each for training, for evaluation and for a last batch are right.",
        part="batches",
        proof="exact",
        explains=("insufficient-training", "data-starvation"),
    ),
    Page(
        "host-sync",
        group=GROUP,
        kind="cause",
        meaning="the device waits for the host at every step",
        symptom="The device is idle between steps.",
        cause=(
            "Each step waits for a number to reach Python: a callback in the step; float(loss), a print or a "
            "comparison in the loop around it."
        ),
        evidence="The callback with its line, and the time of a gradient with it and without.",
        fix="Keep numbers on the device, and fetch them once every so many steps.",
        change=(
            "- losses.append(float(loss))",
            "+ losses.append(loss)  # float() once an epoch",
        ),
        false_alarm=(
            "A remark, unless a gradient is seen to take twice as long with its callbacks; those for debugging are one "
            "always. A loop outside of the step is not seen."
        ),
        part="batches",
        proof="statistical",
        explains=("data-starvation", "input-wait"),
    ),
    Page(
        "data-starvation",
        group=GROUP,
        kind="cause",
        meaning="training waits for its input",
        symptom="The device is idle, and faster hardware does not help.",
        cause="Batches are read or made slower than they are used.",
        evidence="Time that a step waits for its batch, beside the step.",
        fix="Prepare batches ahead, in threads or processes, or keep the data on the device.",
        false_alarm="The first epoch fills caches.",
        part="batches",
        proof="statistical",
        explains=("input-wait", "insufficient-training"),
    ),
    Page(
        "unrolled-loop",
        group=GROUP,
        kind="cause",
        meaning="a loop is traced step by step into one huge program",
        symptom="Tracing and compiling take minutes.",
        cause="A Python loop over equal layers or time steps becomes one long program.",
        evidence="Operations by line.",
        fix="Use jax.lax.scan, or nn.scan over layers.",
        change=(
            "- for step in range(1000):",
            "-     state = cell(state, inputs[step])",
            "+ state, _ = jax.lax.scan(lambda s, x: (cell(s, x), None), state, inputs)",
        ),
        false_alarm="A few layers in a loop are no matter.",
        part="model",
        proof="exact",
    ),
    Page(
        "captured-constant",
        group=GROUP,
        kind="cause",
        meaning="a large array is baked into the program",
        symptom="Compiling is slow and takes memory; changing the array compiles again.",
        cause="A large array of the surrounding code became part of the program.",
        evidence="Its size.",
        fix="Pass it as an argument.",
        change=(
            "- step = jax.jit(lambda params: loss(params, images))",
            "+ step = jax.jit(lambda params, images: loss(params, images))",
        ),
        false_alarm="Small tables are no matter.",
        part="model",
        proof="exact",
        explains=("recompilation",),
    ),
    Page(
        "input-wait",
        group=GROUP,
        kind="cause",
        meaning="the device waits for the host",
        symptom="The device waits for the host.",
        cause="Batches come late, or epochs are short beside the host's work for each.",
        evidence="The share of the time with its interval.",
        fix="Prepare batches ahead of the step, or keep the data on the device.",
        false_alarm="Where the data are on the device already, it is a remark.",
        part="batches",
        proof="statistical",
    ),
    Page(
        "slow-callback",
        group=GROUP,
        kind="cause",
        meaning="a compiled step calls Python",
        symptom="A compiled step is slow.",
        cause="It calls Python, which stops the device.",
        evidence="The share of the time, and the line.",
        fix="Write it in JAX, or call it outside of the step.",
        part="model",
        proof="statistical",
    ),
)
