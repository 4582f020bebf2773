"""HTML as values: whatever is not markup already is escaped, so a name from a user can never become markup."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

VOID = {"br", "img", "link", "meta"}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Content = str | Iterable[Any] | None  # text, markup, or those nested in any way; None stands for nothing


def tag(name: str, /, *content: Content, **attributes: str | bool | None) -> Markup:
    """Returns an element.

    Args:
      name: of the element.
      *content: text, which is escaped, or markup, which is not.
      **attributes: a trailing `_` is dropped and other `_` become `-` (`class_`, `aria_label`); None leaves one out.

    Example:
      >>> tag("p", "1 < 2 ", tag("b", "is true"), class_="fact")
      '<p class="fact">1 &lt; 2 <b>is true</b></p>'
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{joined(content)}</{name}>")


def joined(content: Content) -> Markup:
    """Returns pieces of content as one piece of markup."""
    if content is None:
        return Markup()
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return Markup(escape(printable(content), quote=False))
    return Markup("".join(map(joined, content)))


def printable(text: str) -> str:
    """Returns text without control characters and lone surrogates, which no page and no XML may hold."""
    return "".join(
        letter if letter in "\n\t" or _is_allowed(ord(letter)) else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def _is_allowed(code: int) -> bool:
    return 0x20 <= code < 0x7F or 0xA0 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or code >= 0x10000


def _attribute(key: str, value: str | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(printable(value), quote=True)}"'
