"""The history of a project's classes: which exist, under which name, and where their objects are.

A class's objects are kept under a key that never changes, because their ids are made from it;
the class may be renamed. The steps are those of the original (``[[tool.runtime.migrations]]``).
Pure: it says what to do, and the catalog does it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from runtime.config import Migration
from runtime.errors import CodeRefused, MigrationRefused


@dataclass(frozen=True, slots=True)
class Plan:
    """What a project's classes come to."""

    keys: dict[str, str]
    """The key of each class, by its name now."""
    deleted_keys: tuple[str, ...]
    """Whose objects are to be deleted."""
    new_tags: tuple[str, ...]
    """The steps that had not been taken."""


def plan(
    known: Mapping[str, str],
    applied: Sequence[str],
    migrations: Sequence[Migration],
    bound: Collection[str],
) -> Plan:
    """Take the steps that are missing.

    Args:
        known: The key of each class so far.
        applied: The tags of the steps taken so far, in order.
        bound: The classes that the application binds.

    Raises:
        MigrationRefused: If a step can't be taken.
    """
    tags = [migration.tag for migration in migrations]
    if len(set(tags)) < len(tags):
        raise MigrationRefused("two migrations have the same tag")
    if tags[: len(applied)] != list(applied):
        raise MigrationRefused(
            f"this data folder has seen the migrations {', '.join(applied)}; the configured ones "
            f"must begin with these, and are {', '.join(tags) or 'none'}"
        )
    past, future = migrations[: len(applied)], migrations[len(applied) :]
    keys, deleted = dict(known), list[str]()
    used = {*known.values(), *_keys_of(past)}
    for migration in future:
        for name in migration.new_sqlite_classes:
            _must(name not in keys, migration, f"class {name} exists already")
            keys[name] = _unused(name, used)
            used.add(keys[name])
        for renamed in migration.renamed_classes:
            _must(renamed.from_ in keys, migration, f"there is no class {renamed.from_}")
            _must(renamed.to not in keys, migration, f"class {renamed.to} exists already")
            keys[renamed.to] = keys.pop(renamed.from_)
        for name in migration.deleted_classes:
            _must(name in keys, migration, f"there is no class {name}")
            deleted.append(keys.pop(name))
    for name in bound:
        if name in keys:
            continue
        for migration in future:
            is_deleted = name in migration.deleted_classes
            _must(not is_deleted, migration, f"class {name} is still bound: unbind it first")
        if migrations:
            raise MigrationRefused(
                f"Cannot create binding for class {name} because it is not currently configured "
                "to implement Durable Objects: name it in a migration's new_sqlite_classes"
            )
        keys[name] = _unused(name, used)
        used.add(keys[name])
    return Plan(keys, tuple(deleted), tuple(tags[len(applied) :]))


def check_same(before: Mapping[str, type], after: Mapping[str, type]) -> None:
    """Refuse bindings that aren't other versions of the same classes under the same names.

    Raises:
        CodeRefused: If they differ. A restart takes them in.
    """
    for binding in sorted(before.keys() | after.keys()):
        if binding not in before:
            raise CodeRefused(f"the binding {binding!r} is new, which takes a restart")
        if binding not in after:
            raise CodeRefused(f"the binding {binding!r} is gone, which takes a restart")
        old, new = before[binding].__name__, after[binding].__name__
        if old != new:
            raise CodeRefused(f"{binding!r} was {old} and is {new} now, which takes a restart")


def _must(fine: bool, migration: Migration, reason: str) -> None:
    if not fine:
        raise MigrationRefused(f"migration {migration.tag!r} can't be applied: {reason}")


def _keys_of(migrations: Sequence[Migration]) -> set[str]:
    keys = set[str]()
    for migration in migrations:
        for name in migration.new_sqlite_classes:
            keys.add(_unused(name, keys))
    return keys


def _unused(name: str, used: Collection[str]) -> str:
    """A class of a name that was used before starts with objects, and ids, of its own."""
    candidates = (name if number == 1 else f"{name}-{number}" for number in range(1, 1000))
    return next(key for key in candidates if key not in used)
