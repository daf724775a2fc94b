"""What the pages show, taken out of them to be run."""

import importlib.util
import pathlib
import re
import typing

import pytest

PAGES = pathlib.Path(__file__).resolve().parents[2] / "docs"


class Block(typing.NamedTuple):
    """A fenced block of a page."""

    language: str
    caption: str
    text: str


def _blocks(page):
    """The fenced blocks of a page, in order."""
    fence = r"^```(?:\{code-block\} )?(\w+)\n(?::caption: ([^\n]*)\n)?(.*?)^```$"
    text = (PAGES / page).read_text(encoding="utf-8")
    found = re.findall(fence, text, flags=re.MULTILINE | re.DOTALL)
    return [Block(*parts) for parts in found]


def _module(block, folder):
    """The module that a block's file would be, from another folder."""
    path = folder / pathlib.Path(block.caption).name
    path.write_text(block.text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def blocks():
    """A function: a page's name to its blocks."""
    return _blocks


@pytest.fixture(scope="session")
def module():
    """A function: a block and a folder to the imported module."""
    return _module
