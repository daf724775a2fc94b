"""How the documentation is built: `make docs`, from these pages and the docstrings."""

import os
import re

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from docutils import nodes
from latex2mathml.converter import convert

project = "Color-S4L"
author = "The Color-S4L authors"
html_title = "Color-S4L"
extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["README.md"]

html_theme = "furo"
html_show_sphinx = False
html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# One page for each package; a new module joins by itself.
apidoc_modules = [
    {
        "path": f"../{name}",
        "destination": f"api/{name}",
        "exclude_patterns": ["**/__main__.py"],
        "max_depth": 2,
        "automodule_options": {"members"},
    }
    for name in ("color_s4l", "colorization")
]
# What a package offers of its modules is described where it is written.
autodoc_default_options = {"ignore-module-all": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False


def _inline(translator, node):
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _block(translator, node):
    text = convert(node.astext(), display="block")
    translator.body.append(f'<div class="math">{text}</div>')
    raise nodes.SkipNode


def _literal(app, what, name, thing, options, lines):
    """What our docstrings set in single backticks is code: in reST, two say so."""
    lines[:] = [re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", line) for line in lines]


def setup(app):
    """Sets equations as MathML, which browsers draw without a script from elsewhere."""
    app.connect("autodoc-process-docstring", _literal, priority=1)  # before napoleon
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
