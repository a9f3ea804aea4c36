"""What may be set about a runtime, and where: arguments, environment, pyproject.toml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    PyprojectTomlConfigSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from runtime.errors import SettingsRefused

_PROJECT: Final = "pyproject.toml"
_TABLE: Final = "[tool.runtime]"


class RenamedClass(BaseModel):
    """A class that goes on under another name, with its objects, their ids and their data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    from_: str = Field(alias="from")
    to: str


class Migration(BaseModel):
    """One step in the history of a project's classes, applied once to a data folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tag: str
    new_sqlite_classes: tuple[str, ...] = ()
    renamed_classes: tuple[RenamedClass, ...] = ()
    deleted_classes: tuple[str, ...] = ()


class RuntimeConfig(BaseSettings):
    """The settings of a runtime. Arguments go before ``RUNTIME_*`` environment variables, and
    these before the table ``[tool.runtime]`` of the pyproject.toml in the current folder.
    """

    model_config = SettingsConfigDict(
        env_prefix="RUNTIME_",
        pyproject_toml_table_header=("tool", "runtime"),
        frozen=True,
        extra="forbid",
    )

    data: Path = Path("data")
    """The folder in which everything is kept. Made if it isn't there; used by one process."""
    debug: bool = False
    """For development: send the tracebacks of objects' errors to their callers, and have the log
    told of mistakes that their authors make (see `guard`)."""
    idle_seconds: float = Field(default=10.0, gt=0)
    """How long after its last work an object stays in memory; as in the original."""
    drain_seconds: float = Field(default=30.0, ge=0)
    """How long handlers that are under way may go on when the runtime stops."""
    statement_seconds: float = Field(default=5.0, gt=0)
    """How long one SQL statement of an object may run, and keep all others waiting. Then it is
    interrupted; and if it was writing, the object is reset."""
    journal_max_bytes: int = Field(default=64 * 1024 * 1024, gt=0)
    """How much may wait for the disk; beyond that, new work is refused as overload."""
    journal_segment_bytes: int = Field(default=16 * 1024 * 1024, gt=0)
    """How large one file of the journal becomes. There are about seventeen of them."""
    history_days: float = Field(default=30.0, ge=0)
    """How far back an object can be taken; 0 to keep no history."""
    history_max_bytes: int = Field(default=64 * 1024 * 1024, gt=0)
    """How large one object's history may become. Beyond that, it reaches back less far."""
    migrations: tuple[Migration, ...] = ()
    """The history of the project's classes. Without any, a bound class is new by itself."""

    @field_validator("data", mode="before")
    @classmethod
    def _has_a_name(cls, data: object) -> object:
        if data == "":  # to pathlib that is the current folder
            raise ValueError("it should name a folder")
        return data

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, PyprojectTomlConfigSettingsSource(settings_cls)


def configured(**settings: Any) -> RuntimeConfig:
    """Return the settings, with arguments before all others, for a command line.

    Raises:
        SettingsRefused: If something is wrong: a sentence that names it, and where it can be set.
    """
    try:
        return RuntimeConfig(**settings)
    except ValidationError as error:
        why = "; ".join(map(_what_is_wrong, error.errors()))
        raise SettingsRefused(why) from error
    except SettingsError as error:  # what isn't JSON where it has to be
        (name,) = re.findall(r'field "(\w+)"', str(error)) or ["?"]
        raise SettingsRefused(f"{_setting(name)} isn't JSON: {error.__cause__}") from error
    except (TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsRefused(f"{_PROJECT} can't be read: {error}") from error
    except AttributeError as error:
        raise SettingsRefused(f"{_TABLE} in {_PROJECT} isn't a table") from error


def _what_is_wrong(detail: Mapping[str, Any]) -> str:
    top, *inner = map(str, detail["loc"])
    name = ".".join((top, *inner))
    match detail["type"]:
        case "missing":
            return f"{_setting(name)} is missing"
        case "extra_forbidden" if not inner:
            known = ", ".join(RuntimeConfig.model_fields)
            return f"there is no setting {name} ({_TABLE} in {_PROJECT}), only {known}"
        case "extra_forbidden":
            return f"{_setting(name)} isn't known"
    value, message = detail["input"], str(detail["msg"]).removeprefix("Value error, ")
    # Without pydantic's own jargon.
    should = re.sub(r"(, unable to .*| for <class .*)$", "", message.replace("Input ", "it ", 1))
    return f"{_setting(name)} is {'empty' if value == '' else value}: {should}"


def _setting(name: str) -> str:
    variable = f"RUNTIME_{name.partition('.')[0].upper()}"
    return f"the setting {name} ({variable}, or {_TABLE} in {_PROJECT})"
