"""How the documentation is built: Sphinx, MyST Markdown, furo; every warning is an error."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

# What makes pages from the code.
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "weft"
author = "weft team"
project_copyright = "the weft team"
release = version = version_of("weft")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "weft_docs",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "_ext", "README.md"]

# Quotation marks and dashes stand as they are written: in help texts they are code.
smartquotes = False

html_theme = "furo"
html_title = "weft"
html_static_path = ["_static"]
html_css_files = ["weft.css"]

myst_enable_extensions = ["attrs_block", "colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
maximum_signature_line_length = 120
autodoc_default_options = {"no-value": True}
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# "Attributes:" describes fields that autodoc lists already; so written, none is defined twice.
napoleon_use_ivar = True

nitpicky = True
# References into weft must lead somewhere. Those into other projects would need their inventories,
# which a build without a network cannot have, so they are shown as text.
# Nor have private names and type variables a page of their own.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!weft[._]).*"),
    (r"py:.*", r"weft[._].*\._\w+"),
    (r"py:class", r"weft[._].*\.[A-Z]"),
    # What a future asks of the kernel: nobody but the kernel makes futures.
    (r"py:class", r"weft\.dataflow\.futures\.Owner"),
    # A packed call is described where its package is; a process is the crew's own matter.
    (r"py:class", r"weft\.(calls\.call\.Call|workers\.process\.Process)"),
]

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
