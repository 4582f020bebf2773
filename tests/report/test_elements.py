import pytest

from verax.report._elements import Markup, joined, printable, tag


def test_text_is_escaped_and_markup_is_not():
    assert tag("p", "<b>", tag("i", "&"), None, ["x", ["y"]]) == "<p>&lt;b&gt;<i>&amp;</i>xy</p>"
    assert joined(Markup("<br>")) == "<br>"


@pytest.mark.parametrize("value", ['"><script>alert(1)</script>', "' onload='x", "&quot;", "a\x00b", "\ud800"])
def test_an_attribute_cannot_be_left(value):
    text = tag("a", "x", href=value)
    assert text.startswith('<a href="') and text.endswith('">x</a>')
    inside = text.removeprefix('<a href="').removesuffix('">x</a>')
    assert not set('"<>\x00\ud800') & set(inside)


def test_attributes_are_written_as_html_has_them():
    assert (
        tag("td", class_="x", aria_label="y", hidden=True, title=None, id=False)
        == '<td class="x" aria-label="y" hidden></td>'
    )
    assert tag("br") == "<br>"


def test_characters_that_no_page_may_hold_are_replaced():
    assert printable("a\x00\x1b\x7f\x85\ud800\ufffe\nb\té日😀") == "a������\nb\té日😀"
