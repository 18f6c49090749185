"""Sphinx configuration; the pages are in docs/, this file is kept at the top: -c . docs."""

import gc
import os
from urllib.parse import urlsplit

from tljh_runbook import __version__

# A build makes millions of small things and ends: to look for garbage took a third of its time.
gc.set_threshold(100_000)

project = "tljh-runbook"
author = "The tljh-runbook developers"
copyright = f"2026, {author}"
release = version = __version__

extensions = [
    "tljh_runbook.reference",
    "myst_parser",
    "sphinx.ext.doctest",
    "sphinx.ext.autodoc",
    "sphinx_click",
    "sphinx_copybutton",
    "notfound.extension",
    "tljh_runbook.guide.sphinx_ext",
    "tljh_runbook.guide.site",
]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist", "substitution"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = True
smartquotes = False  # a command with two hyphens must be copied as it is typed

html_theme = "furo"
html_title = "tljh-runbook"
html_baseurl = os.environ.get("READTHEDOCS_CANONICAL_URL", "")
html_logo = html_favicon = "docs/_static/logo.svg"
html_static_path = ["docs/_static"]
# What `tljh-runbook security refresh` fetches.
html_extra_path = ["src/tljh_runbook/hub/versions/security/advisories.json"]
templates_path = ["docs/_templates"]
html_css_files = ["runbook.css"]
html_theme_options = {
    "top_of_page_buttons": [],
    # Each text has a contrast of 4.5 or more to what it stands on: tests/browser measures it.
    "light_css_variables": {
        "color-brand-primary": "#0f5c6e",
        "color-brand-content": "#0b5f73",
        "color-brand-visited": "#574487",
        "color-background-secondary": "#f4f7f7",
        "color-runbook-line": "#b9d2d6",
        "color-runbook-accent": "#dcedf0",
        "color-runbook-away": "#fbe9d7",
        "color-runbook-away-line": "#b8651b",
        "color-runbook-output": "#4b5257",
    },
    "dark_css_variables": {
        "color-brand-primary": "#74c4d3",
        "color-brand-content": "#7cc9d8",
        "color-brand-visited": "#bfa9ee",
        "color-background-primary": "#12171a",
        "color-background-secondary": "#181f22",
        "color-runbook-line": "#2f4a50",
        "color-runbook-accent": "#123a43",
        "color-runbook-away": "#47300f",
        "color-runbook-away-line": "#d99a4e",
        "color-runbook-output": "#b4bcc0",
    },
}
copybutton_prompt_text = r"\$ |> "  # a line goes on behind >
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
# The page for a wrong address is shown at any address, so its links begin at the site's top.
notfound_urls_prefix = urlsplit(html_baseurl).path or "/"
epub_exclude_files = ["404.xhtml", "advisories.json"]
epub_tocscope = "includehidden"
linkcheck_timeout = 20
