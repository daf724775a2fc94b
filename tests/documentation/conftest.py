"""The code blocks of the pages, and smaller settings for their commands."""

import pathlib
import re
import shlex
import typing

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Appended to commands, whose own settings need minutes to hours.
SMALLER = {
    "color_s4l.train": [
        *("--epochs=1", "--width=0.03", "--image_size=32", "--batch_size=8"),
        *("--nojit_compile", "--nozca"),
    ],
    "colorization.train": ["--epochs=1", "--width=0.0625", "--image_size=32"],
}


class Block(typing.NamedTuple):
    """A fenced block.

    Attributes:
        language: "python", "bash", ...
        file: Path in the comment of the first line; "" if there is none.
        text: The lines.
    """

    language: str
    file: str
    text: str

    def commands(self):
        """Returns module and arguments of each `python -m` line, made smaller."""
        found: list[tuple[str, list[str]]] = []
        if self.language != "bash":
            return found
        for line in self.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:2] == ["python", "-m"]:
                found.append((words[2], words[3:] + SMALLER.get(words[2], [])))
                built_in = "--dataset" not in line or "--dataset=drawings" in line
                if words[2] == "color_s4l.train" and built_in:
                    found[-1][1].append("--unlabeled=160")
        return found


@pytest.fixture(scope="session")
def blocks():
    """Function: path of a page -> its blocks in order."""

    def read(page):
        text = (ROOT / page).read_text(encoding="utf-8")
        found = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S)
        files = [re.match(r"# (\S+\.py)\n", code) for _, code in found]
        return [
            Block(language, file[1] if file else "", code)
            for (language, code), file in zip(found, files, strict=True)
        ]

    return read
