"""Settings: what goes before what, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from runtime.config import Migration, RenamedClass, RuntimeConfig, configured
from runtime.errors import SettingsRefused


@pytest.fixture(autouse=True)
def project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and no settings in the environment."""
    monkeypatch.chdir(folder)
    for name in RuntimeConfig.model_fields:
        monkeypatch.delenv(f"RUNTIME_{name.upper()}", raising=False)
    return folder


def write(project: Path, text: str) -> None:
    (project / "pyproject.toml").write_text(text)


def test_everything_has_a_default() -> None:
    config = RuntimeConfig()

    assert config.model_dump() == {
        "data": Path("data"),
        "debug": False,
        "idle_seconds": 10.0,
        "drain_seconds": 30.0,
        "statement_seconds": 5.0,
        "journal_max_bytes": 64 * 1024 * 1024,
        "journal_segment_bytes": 16 * 1024 * 1024,
        "history_days": 30.0,
        "history_max_bytes": 64 * 1024 * 1024,
        "migrations": (),
    }


def test_settings_come_from_the_pyproject_of_the_current_folder(project: Path) -> None:
    write(project, '[tool.runtime]\ndata = "/srv/objects"\nidle_seconds = 5\ndebug = true\n')

    config = RuntimeConfig()

    assert (config.data, config.idle_seconds, config.debug) == (Path("/srv/objects"), 5.0, True)
    assert config.drain_seconds == 30.0


def test_only_the_pyproject_of_the_current_folder_counts(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, "[tool.runtime]\nidle_seconds = 5\n")
    (project / "inner").mkdir()

    monkeypatch.chdir(project / "inner")

    assert RuntimeConfig().idle_seconds == 10.0


@pytest.mark.parametrize("text", ["", '[project]\nname = "x"\n', "[tool.ruff]\nline-length = 9\n"])
def test_a_pyproject_that_says_nothing_changes_nothing(project: Path, text: str) -> None:
    write(project, text)

    assert RuntimeConfig() == RuntimeConfig(data=Path("data"))


def test_the_environment_goes_before_the_pyproject(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, "[tool.runtime]\nidle_seconds = 5\ndrain_seconds = 5\n")
    monkeypatch.setenv("RUNTIME_IDLE_SECONDS", "7.5")
    monkeypatch.setenv("RUNTIME_DEBUG", "true")

    config = RuntimeConfig()

    assert (config.idle_seconds, config.drain_seconds, config.debug) == (7.5, 5.0, True)


def test_arguments_go_before_everything(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, "[tool.runtime]\nidle_seconds = 5\ndrain_seconds = 5\n")
    monkeypatch.setenv("RUNTIME_IDLE_SECONDS", "7")
    monkeypatch.setenv("RUNTIME_DRAIN_SECONDS", "7")

    config = RuntimeConfig(idle_seconds=9)

    assert (config.idle_seconds, config.drain_seconds) == (9.0, 7.0)


def test_migrations_are_written_as_in_the_original(project: Path) -> None:
    write(
        project,
        "[[tool.runtime.migrations]]\n"
        'tag = "v1"\nnew_sqlite_classes = ["Game", "Legacy"]\n'
        "[[tool.runtime.migrations]]\n"
        'tag = "v2"\nrenamed_classes = [{ from = "Game", to = "Match" }]\n'
        'deleted_classes = ["Legacy"]\n',
    )

    first, second = RuntimeConfig().migrations

    assert first == Migration(tag="v1", new_sqlite_classes=("Game", "Legacy"))
    assert [(renamed.from_, renamed.to) for renamed in second.renamed_classes] == [
        ("Game", "Match")
    ]
    assert second.deleted_classes == ("Legacy",)


def test_migrations_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_MIGRATIONS", '[{"tag": "v1", "new_sqlite_classes": ["Game"]}]')

    assert [migration.tag for migration in RuntimeConfig().migrations] == ["v1"]


@pytest.mark.parametrize(
    "text",
    [
        "[tool.runtime]\nidle = 5\n",
        '[tool.runtime]\ndata = ""\n',
        "[tool.runtime]\nidle_seconds = 0\n",
        "[tool.runtime]\nidle_seconds = -1\n",
        "[tool.runtime]\ndrain_seconds = -1\n",
        '[tool.runtime]\nidle_seconds = "soon"\n',
        "[[tool.runtime.migrations]]\nnew_sqlite_classes = []\n",
        '[[tool.runtime.migrations]]\ntag = "v1"\nnew_classes = ["Game"]\n',
        '[[tool.runtime.migrations]]\ntag = "v1"\nrenamed_classes = [{ from = "Game" }]\n',
    ],
)
def test_what_the_pyproject_cant_mean_is_refused(project: Path, text: str) -> None:
    write(project, text)

    with pytest.raises(ValidationError):
        RuntimeConfig()


@pytest.mark.parametrize(
    "settings",
    [{"idle": 5}, {"idle_seconds": 0}, {"drain_seconds": -0.1}, {"migrations": [{}]}, {"data": ""}],
)
def test_what_an_argument_cant_mean_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RuntimeConfig(**settings)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[tool.runtime]\nidle = 5\n", r"no setting idle \(\[tool.runtime\] .*\), only data, "),
        (
            "[tool.runtime]\nidle_seconds = 0\n",
            "idle_seconds .* is 0: it should be greater than 0$",
        ),
        ("[tool.runtime]\ndata = 5\n", "data .* is 5: it is not a valid path$"),
        ("[[tool.runtime.migrations]]\n", r"migrations.0.tag \(RUNTIME_MIGRATIONS, .* is missing$"),
        ("[[tool.runtime.migrations]]\ntag = ''\nx = 1\n", "migrations.0.x .* isn't known$"),
        ("[tool]\nruntime = 5\n", r"^\[tool.runtime\] in pyproject.toml isn't a table$"),
        ("[tool.runtime", "^pyproject.toml can't be read: Expected"),
    ],
)
def test_a_command_line_says_in_a_sentence_which_setting_is_wrong(
    project: Path, text: str, why: str
) -> None:
    write(project, text)

    with pytest.raises(SettingsRefused, match=why) as refusal:
        configured()

    assert "http" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("DATA", "", "^the setting data .* is empty: it should name a folder$"),
        ("DEBUG", "maybe", "is maybe: it should be a valid boolean$"),
        ("MIGRATIONS", "{", r"^the setting migrations \(RUNTIME_MIGRATIONS, .* isn't JSON: "),
    ],
)
def test_a_command_line_names_the_variable_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, why: str
) -> None:
    monkeypatch.setenv(f"RUNTIME_{name}", value)

    with pytest.raises(SettingsRefused, match=why):
        configured()


def test_objects_may_be_stopped_without_delay() -> None:
    assert RuntimeConfig(drain_seconds=0).drain_seconds == 0.0


def test_settings_cant_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RuntimeConfig().debug = True
    with pytest.raises(ValidationError, match="frozen"):
        Migration(tag="v1").tag = "v2"
    with pytest.raises(ValidationError, match="frozen"):
        RenamedClass.model_validate({"from": "A", "to": "B"}).to = "C"
