"""What may be set about a runtime, and where: arguments, environment, pyproject.toml."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    PyprojectTomlConfigSettingsSource,
    SettingsConfigDict,
)


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
    """Send the tracebacks of objects' errors to their callers."""
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
