"""What the tutorials are made of: their steps, and what the text of a step shows.

A step's text is its README.md. In it, a fenced block with a file's name is a change: the whole
file, or, as ``diff``, parts of it. A ``console`` block has commands, after ``$``, and what they
print. What the text says to do in the browser, and what is seen there, stands in quoted paragraphs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent
TEXT: Final = "README.md"
KINDS_OF_FILES: Final = (".py", ".html", ".css", ".js")

_FENCED: Final = r"^```(?P<language>\w+)(?: (?P<file>\S+))?\n(?P<body>[\s\S]*?)^```$"
_BLOCK: Final = re.compile(_FENCED, re.MULTILINE)
_HAPPENING: Final = re.compile(rf"{_FENCED}|(?P<quote>(?:^>.*\n)+)", re.MULTILINE)
_TITLE: Final = re.compile(r"^# (.+)$", re.MULTILINE)


class CantApply(ValueError):
    """A change that the text shows doesn't fit the file."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a text."""

    language: str
    file: str | None
    """Which file it changes, if it does."""
    body: str


@dataclass(frozen=True, slots=True)
class Command:
    """Something to type, and the lines that it prints."""

    line: str
    output: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a tutorial."""

    folder: Path

    @property
    def number(self) -> int:
        """From 1."""
        return int(self.folder.name.removeprefix("step-"))

    @property
    def text(self) -> str:
        """What is to be read."""
        return (self.folder / TEXT).read_text()

    @property
    def title(self) -> str:
        """What it is called."""
        return _title(self.text)

    @property
    def files(self) -> dict[str, str]:
        """The project as it is after this step."""
        return {
            file.relative_to(self.folder).as_posix(): file.read_text()
            for file in sorted(self.folder.rglob("*"))
            if file.suffix in KINDS_OF_FILES and "__pycache__" not in file.parts
        }

    @property
    def blocks(self) -> list[Block]:
        """The fenced blocks of its text."""
        return [_block(found) for found in _BLOCK.finditer(self.text)]

    @property
    def commands(self) -> list[Command]:
        """What is to be typed, and what it prints."""
        return [each for each in self.walk if isinstance(each, Command)]

    @property
    def seen(self) -> list[str]:
        """The paragraphs that say what to do in the browser, and what will be seen."""
        return [each for each in self.walk if isinstance(each, str)]

    @property
    def walk(self) -> list[Command | str]:
        """All that is to be done, in order: commands, and paragraphs that are for the browser."""
        found: list[Command | str] = []
        for match in _HAPPENING.finditer(self.text):
            if match["quote"] is None:
                found += _commands(_block(match))
            else:
                found.append(" ".join(line.lstrip("> ") for line in match["quote"].splitlines()))
        return found

    def applied_to(self, before: Mapping[str, str]) -> dict[str, str]:
        """Return the files of a project after the changes that the text shows.

        Raises:
            CantApply: If one of them doesn't fit.
        """
        files = dict(before)
        for block in self.blocks:
            if block.file is None:
                continue
            if block.language == "diff":
                files[block.file] = _patched(files.get(block.file, ""), block)
            else:
                files[block.file] = block.body
        return files


@dataclass(frozen=True, slots=True)
class Tutorial:
    """Some steps, and exercises after them."""

    folder: Path

    @property
    def number(self) -> int:
        """From 1."""
        return int(self.folder.name[:2])

    @property
    def text(self) -> str:
        """What is to be read first."""
        return (self.folder / TEXT).read_text()

    @property
    def title(self) -> str:
        """What it is called."""
        return _title(self.text)

    @property
    def steps(self) -> list[Step]:
        """In order."""
        found = self.folder.glob("step-*")
        return sorted(map(Step, found), key=lambda step: step.number)

    @property
    def exercises(self) -> list[Path]:
        """The folders of the exercises, in order: a check and a solution in each."""
        return sorted((self.folder / "exercises").glob("[0-9]"))


def tutorials() -> list[Tutorial]:
    """Return all of them, in order."""
    return sorted(map(Tutorial, ROOT.glob("[0-9][0-9]-*")), key=lambda each: each.number)


def _title(text: str) -> str:
    match = _TITLE.search(text)
    assert match is not None, "a text begins with a title"
    return match[1]


def _block(match: re.Match[str]) -> Block:
    return Block(match["language"], match["file"], match["body"])


def _commands(block: Block) -> list[Command]:
    if block.language != "console":
        return []
    return [
        Command(line, tuple(output))
        for line, *output in (part.splitlines() for part in block.body.split("$ ")[1:])
    ]


def _patched(text: str, block: Block) -> str:
    for hunk in re.split(r"^@@.*\n", block.body, flags=re.MULTILINE):
        lines = [line or " " for line in hunk.splitlines()]  # editors strip blanks at the end
        if strange := [line for line in lines if line[0] not in " +-"]:
            raise CantApply(f"{block.file}: {strange[0]!r} begins with none of ' ', '+', '-'")
        old = "".join(f"{line[1:]}\n" for line in lines if line[0] in " -")
        new = "".join(f"{line[1:]}\n" for line in lines if line[0] in " +")
        if (count := f"\n{text}".count(f"\n{old}")) != 1 or not old:
            raise CantApply(f"{block.file}: these lines are there {count} times, not once:\n{old}")
        before, _, after = f"\n{text}".partition(f"\n{old}")
        text = f"{before}\n{new}{after}".removeprefix("\n")
    return text
