"""One diagnosis, explained: what a user sees, why it happens, what to change, and when the alarm is false."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from verax.findings import Part

Kind = Literal["cause", "symptom"]
Proof = Literal["exact", "counterfactual", "statistical", "symptom"]

# Symptoms that come together: a cause of one is a cause of all.
POOR = ("loss-not-decreasing", "underfitting", "no-better-than-baseline", "majority-class-collapse")
LARGE = ("exploding-gradient", "loss-divergence", "loss-oscillation")
NONFINITE = ("non-finite-loss", "non-finite-gradient", "non-finite-parameter")

PROOFS = {
    "exact": "it is proved, without a threshold",
    "counterfactual": "a repair is tried, and it is an alarm only if the repair helps",
    "statistical": "it is judged against chance or a threshold",
    "symptom": "it is a symptom, reported where no cause is found",
}


@dataclass(frozen=True)
class Page:
    """What there is to say about one diagnosis.

    Attributes:
      id: as in findings: `double-softmax`.
      group: `Activation`.
      kind: a `symptom` is reported where no cause of it is found.
      meaning: in a line.
      symptom: what a user sees.
      cause: why it happens.
      evidence: what is measured and shown.
      fix: one concrete change.
      part: of a training program that is to be changed, most often; None where it is no one part.
      proof: how it is told (`PROOFS`).
      change: lines of code, the wrong ones with `- ` before them, the right ones with `+ `.
      false_alarm: when an alarm would be false, and how that is told; empty where it states a plain fact.
      explains: ids of symptoms, and of findings that come with it: where this is found, they add nothing.
      sources: where a formula or a claim comes from.
    """

    id: str
    group: str
    kind: Kind
    meaning: str
    symptom: str
    cause: str
    evidence: str
    fix: str
    part: Part | None
    proof: Proof
    change: tuple[str, ...] = ()
    false_alarm: str = ""
    explains: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def sections(self) -> Iterator[tuple[str, str]]:
        """Yields headings and texts in the order of reading; what is empty is left out."""
        told = PROOFS[self.proof]
        for heading, text in (
            ("What you see", self.symptom),
            ("Why", self.cause),
            ("Evidence", self.evidence),
            ("Change", self.fix),
            ("Part", self.part or ""),
            ("False alarms", self.false_alarm),
            ("How it is told", f"{told[0].upper()}{told[1:]}."),
            ("Explains", ", ".join(self.explains)),
            ("Source", "; ".join(self.sources)),
        ):
            if text:
                yield heading, text

    def __str__(self) -> str:
        lines = [f"{self.id} ({self.group}, {self.kind}): {self.meaning}"]
        for heading, text in self.sections():
            lines.append(f"{heading}: {text}")
            if heading == "Change":
                lines += [f"    {line}" for line in self.change]
        return "\n".join(lines)
