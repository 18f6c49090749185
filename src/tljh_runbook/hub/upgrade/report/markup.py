"""HTML built from elements, so that text is always escaped."""

from __future__ import annotations

import html

VOID = ("meta",)


class Html(str):
    """Trusted markup; any other string is escaped when it is added to an element."""

    __slots__ = ()


def element(name: str, /, *inside: str, **attributes: str) -> Html:
    """Return an element that contains ``inside``; `_` in attribute names becomes `-`."""
    named = "".join(f' {_attribute(key)}="{escaped(text)}"' for key, text in attributes.items())
    if name in VOID:
        return Html(f"<{name}{named}>")
    return Html(f"<{name}{named}>{joined(*inside)}</{name}>")


def joined(*parts: str) -> Html:
    """Concatenate ``parts``: markup unchanged, text escaped."""
    return Html("".join(each if isinstance(each, Html) else escaped(each) for each in parts))


def escaped(text: str) -> str:
    """Return text for a page, with invisible and bidirectional control characters as escapes."""
    visible = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
    return html.escape(visible)


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
