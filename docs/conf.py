"""Sphinx configuration: `make docs` builds these pages and the docstrings."""

import dataclasses
import inspect
import os
import re

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util.docutils import SphinxDirective

project = "Color-S4L"
author = "The Color-S4L authors"
html_title = "Color-S4L"
extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]

html_theme = "furo"
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["code.css"]
html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# One page per package; new modules are added automatically.
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
# Names that a package re-exports are documented only in their own module.
autodoc_default_options = {"ignore-module-all": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False


class Registered(SphinxDirective):
    """A list of everything in a registry: "methods", "terms", "recipes" or "trunks"."""

    required_arguments = 1

    def run(self):
        """Returns the list."""
        from color_s4l import registry

        kind = self.arguments[0]
        found = getattr(registry, kind.upper())
        describe = {"methods": _method, "trunks": _trunk}.get(kind, _record)
        lines = [f"* `{name}`: {describe(found.entry(name))}" for name in found]
        return self.parse_text_to_nodes("\n".join(lines))


def _method(entry):
    from color_s4l.registry import TERMS

    if "solver" in entry.options:
        return inspect.getdoc(entry.options["solver"]).partition("\n")[0]
    words = []
    for term in entry.value:
        changed = _fields(term, all_of_them=False)
        name = f"`{TERMS.name_of(type(term))}`"
        words.append(f"{name} ({changed})" if changed else name)
    return " + ".join(words)


def _trunk(entry):
    return inspect.getdoc(inspect.getmodule(entry.value)).partition("\n")[0]


def _record(entry):
    instance = entry.value()
    summary = inspect.getdoc(type(instance)).partition("\n")[0]
    return f"{summary} {_fields(instance)}"


def _fields(instance, all_of_them=True):
    """Returns the fields of a dataclass with their values, as text."""
    words = []
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        if isinstance(value, tuple):
            value = ", ".join(map(str, value))
        elif isinstance(value, float):
            value = f"{value:.3g}"
        if all_of_them or getattr(instance, field.name) != field.default:
            words.append(f"{field.name} = {value}")
    return "; ".join(words).replace("_", "\\_")


def _inline(translator, node):
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _block(translator, node):
    text = convert(node.astext(), display="block")
    translator.body.append(f'<div class="math">{text}</div>')
    raise nodes.SkipNode


def _to_rest(app, what, name, thing, options, lines):
    """Translates the library's docstrings to reST: code in backticks, code blocks."""
    for number, line in enumerate(lines):
        following = [*lines[number + 1 : number + 3], "", ""]
        if line.endswith(":") and not following[0] and following[1].startswith("    "):
            lines[number] = f"{line}:"  # an example in the docstring
        lines[number] = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", lines[number])


def _skipped(app, what, name, thing, skip, options):
    """Skips decorators imported from the registry, which are bound methods."""
    return True if what == "module" and inspect.ismethod(thing) else None


def setup(app):
    """Adds the tables of registries, and equations as MathML, which need no script."""
    app.add_directive("registered", Registered)
    app.connect("autodoc-process-docstring", _to_rest, priority=1)  # before napoleon
    app.connect("autodoc-skip-member", _skipped)
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
