"""Sphinx configuration; the pages are in docs/, this file is kept at the top: -c . docs."""

import os
from urllib.parse import urlsplit

from tljh_runbook import __version__

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
]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist", "substitution"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = True

html_theme = "furo"
html_title = "tljh-runbook"
html_baseurl = os.environ.get("READTHEDOCS_CANONICAL_URL", "")
# The page for a wrong address is shown at any address, so its links begin at the site's top.
notfound_urls_prefix = urlsplit(html_baseurl).path or "/"
epub_exclude_files = ["404.xhtml"]
epub_tocscope = "includehidden"
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = Truelinkcheck_timeout = 20
