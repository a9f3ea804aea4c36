"""The changes that a step's text shows make the step before it this one, and it quotes its code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tutorials.steps import CantApply, Step, Tutorial, tutorials

ROOT = Path(__file__).parents[2]
TUTORIALS = tutorials()
STEPS = [step for tutorial in TUTORIALS for step in tutorial.steps]
LANGUAGES = {"python", "html", "css", "js", "diff", "console"}


def name(step: Step) -> str:
    """Return what a step is called in a report."""
    return f"{step.folder.parent.name}/{step.folder.name}"


@pytest.mark.parametrize("step", STEPS, ids=name)
def test_the_changes_that_a_text_shows_make_the_step(step: Step) -> None:
    before = step.folder.with_name(f"step-{step.number - 1}")

    files = step.applied_to(Step(before).files)

    assert files == step.files


def test_a_change_of_one_character_is_found(tmp_path: Path) -> None:
    first, second = TUTORIALS[0].steps[2:4]
    for step in (first, second):
        _copy(step, tmp_path)
    text = tmp_path / second.folder.name / "README.md"
    shown = next(line for line in text.read_text().splitlines() if line.startswith("+"))
    copy = Step(text.parent)
    assert copy.applied_to(first.files) == copy.files

    text.write_text(text.read_text().replace(shown, shown.replace("e", "a", 1)))
    assert copy.applied_to(first.files) != copy.files

    text.write_text(text.read_text().replace("\n-", "\n-x", 1))
    with pytest.raises(CantApply):
        copy.applied_to(first.files)


@pytest.mark.parametrize("step", STEPS, ids=name)
def test_what_a_text_quotes_is_in_the_code(step: Step) -> None:
    quoted = [block for block in step.blocks if block.file is None and block.language != "console"]

    assert {block.language for block in step.blocks} <= LANGUAGES
    assert step.text.count("```") == 2 * len(step.blocks), "a fence is broken"
    for block in quoted:
        lines = " ".join(block.body.split())
        assert any(lines in " ".join(text.split()) for text in step.files.values()), block.body


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda tutorial: tutorial.folder.name)
def test_a_tutorial_says_what_will_be_known_and_lists_its_steps(tutorial: Tutorial) -> None:
    listed = re.findall(r"^\| \[(\d+)\]\((\S+)\) \| (.+) \|$", tutorial.text, re.MULTILINE)

    assert "After this you will know" in tutorial.text
    assert listed == [
        (str(step.number), f"{step.folder.name}/README.md", step.title) for step in tutorial.steps
    ]
    assert [step.number for step in tutorial.steps] == list(range(1, len(listed) + 1))
    assert len(tutorial.exercises) >= 2


@pytest.mark.parametrize("step", STEPS, ids=name)
def test_each_step_shows_something_in_the_browser(step: Step) -> None:
    assert step.seen
    assert all("see **" in paragraph for paragraph in step.seen)


def test_what_a_text_points_to_exists() -> None:
    for text in ROOT.glob("tutorials/**/README.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", text.read_text()):
            assert "://" in link or (text.parent / link).exists(), f"{text}: {link}"


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda tutorial: tutorial.folder.name)
def test_the_commands_within_the_sentences_are_there(tutorial: Tutorial) -> None:
    targets = re.findall(r"^([\w-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    places = {step.folder.name.replace("step-", "S=") for step in tutorial.steps}
    places |= {f"S=x{exercise.name}" for exercise in tutorial.exercises}
    for text in (tutorial.text, *(step.text for step in tutorial.steps)):
        assert "`python -m" not in text, "a Python that lacks what it takes"
        for target, where in re.findall(r"`make ([\w-]+)([^`]*)`", text):
            assert target in targets
            if where:
                assert set(where.split()) <= {f"T={tutorial.number}"} | places, where


def _copy(step: Step, to: Path) -> None:
    folder = to / step.folder.name
    folder.mkdir()
    for file, content in {**step.files, "README.md": step.text}.items():
        (folder / file).write_text(content)
