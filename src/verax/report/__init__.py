"""A certificate and its run as text for people and machines: HTML, Markdown, JUnit. (JSON is `Certificate.to_json`.)"""

from verax.report._drawings import figures
from verax.report._html import html
from verax.report._junit import junit
from verax.report._markdown import markdown

__all__ = ["html", "markdown", "junit", "figures"]
