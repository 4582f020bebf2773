"""A figure as SVG inside a page: text stays text, colours follow the page, and the same figure gives the same bytes."""

from __future__ import annotations

import io
import re
from typing import Any
from xml.etree import ElementTree

from verax.plot._canvas import PALETTE, Axes, Figure, without_glyph_warnings

SVG = "http://www.w3.org/2000/svg"
LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
FONT = re.compile(r"(?:font: (?P<size>[\d.]+px) [^;]*|font-family: [^;]*)(?:; )?")
REFERENCE = re.compile(r"url\(#([^)]+)\)")


def svg(figure: Figure | Axes, title: str, *, name: str) -> str:
    """Returns a figure as an `<svg>` element for a page, drawn in the page's colours.

    Colours of `PALETTE` become CSS variables with themselves as default (`var(--plot-blue, #0072b2)`), ink becomes
    `currentColor`, and text takes the page's font. There is no date in it.

    Args:
      figure: the figure, or axes of it.
      title: what it shows, for those who cannot see it.
      name: starts every id, so that several figures of different names fit into one page.
    """
    import matplotlib

    figure = getattr(figure, "figure", None) or figure
    drawn = io.StringIO()
    settings: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": name, "svg.id": None}
    with matplotlib.rc_context(settings), without_glyph_warnings():
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(drawn.getvalue())
    _simplify(root, name)
    width, height = root.get("viewBox", "").split()[2:]
    root.attrib = {
        "xmlns": SVG, "class": "plot", "role": "img", "aria-label": title, "viewBox": f"0 0 {width} {height}",
        "stroke-linejoin": "round", "stroke-linecap": "butt",
    }  # fmt: skip
    return ElementTree.tostring(root, encoding="unicode")


def _simplify(root: ElementTree.Element, name: str) -> None:
    """Drops namespaces, metadata and ids nobody refers to; shortens numbers; changes colours and fonts."""
    used = {reference for element in root.iter() for reference in _references(element)}
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        for key, value in element.attrib.items():
            element.attrib[key] = _attribute(key, value, name)
        if element.tag != "text":
            element.text = None
        element.tail = None
        if "id" in element.attrib and element.attrib["id"].removeprefix(f"{name}-") not in used:
            del element.attrib["id"]
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in ("metadata", "style") or (child.tag in ("g", "defs") and not len(child)):
                parent.remove(child)
        _share_style(parent)


def _share_style(parent: ElementTree.Element) -> None:
    """Writes a style that all markers of a group have once, at the group: a scatter plot halves in size."""
    styles = {child.get("style") for child in parent}
    if len(parent) > 1 and parent.tag == "g" and len(styles) == 1 and all(child.tag == "use" for child in parent):
        parent.set("style", styles.pop() or "")
        for child in parent:
            del child.attrib["style"]


def _references(element: ElementTree.Element) -> list[str]:
    values = list(element.attrib.items())
    links = [value[1:] for key, value in values if key.rpartition("}")[2] == "href" and value.startswith("#")]
    return links + [found for _, value in values for found in REFERENCE.findall(value)]


def _attribute(key: str, value: str, name: str) -> str:
    if key in ("d", "x", "y"):
        return LONG_NUMBER.sub(lambda number: f"{float(number[0]):.2f}", value).replace("\n", "")
    if key == "id":
        return f"{name}-{value}"
    if key == "href" and value.startswith("#"):
        return f"#{name}-{value[1:]}"
    if key == "style":
        value = FONT.sub(lambda font: f"font-size: {font['size']}; " if font["size"] else "", value)
        for word, color in PALETTE.items():
            value = value.replace(color, "currentColor" if word == "ink" else f"var(--plot-{word}, {color})")
    return REFERENCE.sub(rf"url(#{name}-\1)", value)
