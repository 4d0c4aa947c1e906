"""Settings of the site; `scripts/docs` builds it."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

from drrpack import __version__  # noqa: E402

project = "drrpack"
author = "drrpack developers"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "command_options",
    "dark_pictures",
    "field_comments",
    "root_pages",
]
exclude_patterns = ["_ext"]

# Markdown
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
smartquotes_action = "D"  # dashes; quotation marks stay
nb_execution_mode = "off"  # a test executes the notebook; the site shows the outputs it keeps

# Docstrings
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_mock_imports = ["avalanche"]  # brings a hundred packages
autodoc_default_options = {"exclude-members": "__new__"}
maximum_signature_line_length = 72
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_param = False  # several arguments may share a line
napoleon_use_rtype = False

# HTML, all of it local: a site that opens from disk
html_theme = "furo"
html_title = f"drrpack {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_search_summary = False  # it fetches pages, which a browser refuses from disk
html_copy_source = False
html_theme_options = {"source_repository": "", "top_of_page_buttons": []}
pygments_style = "tango"
pygments_dark_style = "monokai"
