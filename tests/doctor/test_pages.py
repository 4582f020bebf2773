"""`docs/diagnoses/`, the pages of the catalogue for readers on the web, is what is written here from the catalogue.

Run as a program (`make pages`), this file renews them.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from verax.doctor.catalogue import GROUPS, PROOFS, Page
from verax.doctor.probes import CHECKS, RECORDS, RUNS

SOURCE = Path(__file__).parents[2] / "src" / "verax"
FOLDER = Path(__file__).parents[2] / "docs" / "diagnoses"
HEAD = "<!-- Written by `make pages` from src/verax/doctor/catalogue/. Do not edit. -->\n"
INTRODUCTION = f"""# Diagnoses

Every name that a finding of Verax may have. `verax explain NAME` shows a page on a terminal.

The last column says which probes of the doctor look for it; `verax check --all` says what each of them compared in your
program. How a diagnosis is told: *exact*, {PROOFS["exact"]}; *counterfactual*, {PROOFS["counterfactual"]};
*statistical*, {PROOFS["statistical"]}; *symptom*, {PROOFS["symptom"]}.
"""


def written() -> dict[str, str]:
    """Returns the text of each file of `docs/diagnoses/`."""
    files = {"README.md": HEAD + "\n" + INTRODUCTION + "".join(map(_index, GROUPS))}
    return files | {file_of(group): "\n".join(_group(group, pages)) for group, pages in GROUPS.items()}


def file_of(group: str) -> str:
    return group.lower().replace(" ", "-") + ".md"


def _index(group: str) -> str:
    rows = [
        f"| [{page.id}]({file_of(group)}#{page.id}) | {page.meaning} | {page.proof} | {looked_for_by(page.id)} |"
        for page in GROUPS[group]
    ]
    return (
        "\n".join([f"\n## {group}\n", "| name | meaning | told | looked for by |", "|---|---|---|---|", *rows]) + "\n"
    )


def looked_for_by(name: str) -> str:
    """Returns the probes that look for a diagnosis, else the folders of Verax that report it."""
    probes = dict.fromkeys(probe.name for probe in (*CHECKS, *RUNS, *RECORDS) if name in probe.ids)
    if probes:
        return ", ".join(probes)
    return ", ".join(f"`{folder}`" for folder in _reporting(name))


def _reporting(name: str) -> list[str]:
    said = (f'"{name}"', f"'{name}'")
    folders = {
        path.relative_to(SOURCE).parts[0] for path in _sources() if any(each in path.read_text() for each in said)
    }
    return sorted(folder.removesuffix(".py") for folder in folders)


def _sources() -> Iterator[Path]:
    return (path for path in SOURCE.rglob("*.py") if "catalogue" not in path.parts)


def _group(group: str, pages: Iterable[Page]) -> Iterator[str]:
    yield HEAD
    yield f"# {group}\n\n[All diagnoses](README.md)"
    for page in pages:
        yield f"\n## {page.id}\n\n{page.meaning[0].upper()}{page.meaning[1:]}.\n"
        for heading, text in page.sections():
            yield f"- **{heading}:** {linked(text) if heading == 'Explains' else plain(text)}"
            if heading == "Change" and page.change:
                yield "\n  ```diff\n" + "\n".join(f"  {line}" for line in page.change) + "\n  ```\n"
    yield ""


def linked(ids: str) -> str:
    """Returns names as links to their pages."""
    groups = {page.id: group for group, pages in GROUPS.items() for page in pages}
    return ", ".join(f"[{id}]({file_of(groups[id])}#{id})" for id in ids.split(", "))


def plain(text: str) -> str:
    """Returns a text that Markdown shows as it is."""
    return text.replace("_", "\\_").replace("*", "\\*").replace("<", "&lt;").replace("[", "\\[")


def test_the_pages_are_current():
    files = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert files == written(), "docs/diagnoses/ is not what the catalogue says. Renew it: make pages"


def test_every_diagnosis_is_looked_for():
    assert not [page.id for pages in GROUPS.values() for page in pages if not looked_for_by(page.id)]


def test_every_id_of_a_probe_has_a_page():
    known = {page.id for pages in GROUPS.values() for page in pages}
    assert {name for probe in (*CHECKS, *RUNS, *RECORDS) for name in probe.ids} <= known


def test_a_page_has_its_heading_code_and_links():
    text = written()["activation.md"]
    start = text.index("\n## double-softmax\n")
    page = text[start : text.index("\n## ", start + 1)]
    for part in (
        "Softmax applied in the model and again in the loss.",
        "- **Change:** Return logits.\n\n  ```diff\n  - return nn.softmax(nn.Dense(10)(x))\n",
        "[vanishing-gradient](gradient.md#vanishing-gradient)",
    ):
        assert part in page


def test_links_lead_somewhere():
    files = written()
    for text in files.values():
        for link in (part.partition(")")[0] for part in text.split("](")[1:]):
            file, _, id = link.partition("#")
            assert file in files and (not id or f"\n## {id}\n" in files[file]), link


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.iterdir():
        path.unlink()
    for name, text in written().items():
        (FOLDER / name).write_text(text)
