"""The frame of a page that needs nothing else: its head, its style, its policy and its foot."""

from __future__ import annotations

from importlib.resources import files

from verax import __version__
from verax.report._elements import Content, Markup, tag

# The page may load nothing at all, whatever a name or a reason holds.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def page(title: str, *main: Content) -> str:
    """Returns a page with a title for the browser's tab and the content of its `main`."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="generator", content=f"Verax {__version__}"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", Markup(files("verax.report").joinpath("style.css").read_text(encoding="utf-8"))),
    )
    footer = tag("footer", tag("p", f"Written by Verax {__version__}. This page loads nothing from anywhere."))
    return f'<!DOCTYPE html>\n<html lang="en">{head}{tag("body", tag("main", main), footer)}</html>\n'
