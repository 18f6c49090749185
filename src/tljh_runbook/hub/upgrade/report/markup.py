"""HTML that is made of elements, so that no text becomes markup by mistake."""

from __future__ import annotations

import html

VOID = ("meta",)


class Html(str):
    """Markup. Any other text is escaped where it is put into an element."""

    __slots__ = ()


def element(name: str, /, *inside: str, **attributes: str) -> Html:
    """Return an element around ``inside``; in names of attributes, `_` stands for `-`."""
    named = "".join(f' {_attribute(key)}="{escaped(text)}"' for key, text in attributes.items())
    if name in VOID:
        return Html(f"<{name}{named}>")
    return Html(f"<{name}{named}>{joined(*inside)}</{name}>")


def joined(*parts: str) -> Html:
    """Return markup as it is, and text escaped, one after the other."""
    return Html("".join(each if isinstance(each, Html) else escaped(each) for each in parts))


def escaped(text: str) -> str:
    """Return text as a page shows it; signs that cannot be seen, or turn it round, are named."""
    visible = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
    return html.escape(visible)


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
