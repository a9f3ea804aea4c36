"""Which tests speak of which section of the reference, and where we differ from it on purpose.

``python -m tests.conformance`` makes the table in ``tests/README.md`` of this; a test sees to it
that the table is up to date, and that no behaviour of the list is without a test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent.parent
HERE: Final = Path(__file__).parent
README: Final = ROOT / "tests" / "README.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"

# Behaviours by their ids, and files of tests/ beside them, which go further.
SECTIONS: Final[dict[str, str]] = {
    "0 The surface": "runtime/test_errors.py test_readmes.py",
    "1 The model": "runtime/test_invariants.py",
    "2.1 Creation and states": "F08 I01 I02 H13 I10 runtime/test_host.py",
    "2.2 Constructor": "E14 D25 K01 K02 runtime/test_activation.py",
    "2.3 block_concurrency_while": "E02 E03 E05 E10 E11 E13 runtime/test_gates.py",
    "2.4 abort": "B08 G19 D17 runtime/test_activation.py",
    "2.5 Shutdown": "runtime/test_host.py crash/test_crash.py",
    "2.6 New code": "I11 runtime/test_adopting.py runtime/test_reloading.py",
    "2.7 Other members of ctx": "runtime/test_tasks.py",
    "3.1 Ids": "F02 F03 runtime/test_ids.py",
    "3.2 Namespaces": "F04 F06 F07 F10 F11 F12 runtime/test_namespace.py runtime/test_catalog.py",
    "4.1 Delivery": "G01 G06 G07 runtime/test_inbox.py",
    "4.2 What can be called": "G02 G03 runtime/test_methods.py",
    "4.3 Values": "G14 G17 G22 runtime/test_wire.py",
    "4.4 Pipelining": "G09 G10 G18",
    "4.5 References and their lifetimes": "G05 G11 G13 G21 G23 runtime/test_references.py",
    "4.6 Errors": "G15 K04 K13 runtime/test_errors.py",
    "4.7 fetch": "H14 K08 K09 runtime/test_fetch.py runtime/test_litestar.py",
    "5 Keys and values": "C01 C05 C06 C08 C09 C13 C16 runtime/test_kv.py runtime/test_storage.py",
    "5.1 list": "C02 C04 C10 C12 B20",
    "5.2 Options": "E19",
    "5.3 delete_all": "B09 D05",
    "5.4 transaction": "B01 B02 B04 B12 B16 B21 B24 runtime/test_atomicity.py",
    "5.5 transaction_sync": "B05 B06 A52 A53",
    "5.6 Implicit transactions": "B13 B14 B22 runtime/test_persistence.py",
    "5.7 sync": "B17",
    "5.8 Critical errors": "B10 B18 E18 runtime/test_full_disk.py",
    "5.9 Limits of storage": "conformance/test_kv.py",
    "6 kv": "C14",
    "7.1 exec": "A10 A12 A13 A18 A20 A21 A22 A34 A48 A54 A57 runtime/test_statements.py",
    "7.2 Cursors": "A01 A02 A04 A05 A06 A08 A09 A40 A41 A42 A49 A50",
    "7.3 What SQL may do": (
        "A14 A16 A17 A24 A25 A26 A28 A29 A30 A32 A33 A36 A37 A38 A44 A45 A46 A56 A58 A60 "
        "runtime/test_regulator.py runtime/test_sql.py"
    ),
    "7.4 Point in time recovery": "runtime/test_point_in_time.py runtime/test_history.py",
    "8 Alarms": (
        "D01 D02 D04 D06 D08 D09 D10 D12 D13 D14 D16 D18 D20 D21 D22 D26 "
        "runtime/test_alarms.py runtime/test_ringer.py"
    ),
    "9 Gates": "E01 E06 E07 E09 E15 E17 runtime/test_gates.py runtime/test_invariants.py",
    "10 Facets": "J02 J03 J04 J06",
    "11 Containers": "",
    "12.1 Accepting": "H01 H03 H18 H22 runtime/test_sockets_conformance.py",
    "12.2 Events": "H02 H11 H15 H21 H23 runtime/test_events.py",
    "12.3 send and close": "H19 H09 runtime/test_pump.py runtime/test_uvicorn_ws.py",
    "12.4 Automatic answers": "H05 H06",
    "12.5 Attachments": "H17",
    "12.6 Hibernation": "H07 H10 runtime/test_resident.py",
    "13 Limits": "conformance/test_sql_rules.py runtime/test_bad_clients.py",
    "14 Class migrations": "runtime/test_classes.py",
    "15 Data location": "runtime/test_ids.py",
    "16 Known issues": "",
    "17 Observability": "runtime/test_health.py runtime/test_awake.py",
    "18 Testing": "D24 I03 I05 I06 I07 I09 runtime/test_faults.py simulation/test_simulation.py",
    "19 Rules and mistakes": "runtime/test_guard.py",
    "20 Examples": "test_readmes.py",
    "21 Convenience layers": "K05 K06 K10 K12 runtime/patterns/test_presence.py",
    "22 A Python port": "runtime/test_tasks.py",
}
# What no single test can say.
DIFFERENCES: Final[dict[str, list[str]]] = {
    "0 The surface": ["names are snake_case, times are seconds; the rest is as below"],
    "11 Containers": ["not built: an object is Python in one process"],
    "15 Data location": ["one node: a jurisdiction is part of the id and of the folder, no place"],
    "16 Known issues": ["those of the original's network; one process has none of them"],
}


@dataclass(slots=True)
class Behaviour:
    """What the tests have of one line of the list."""

    tests: list[str] = field(default_factory=list)
    """``file::name``, relative to this folder."""
    differences: list[str] = field(default_factory=list)
    """Why some of them are expected to fail, or why there is none."""
    is_left_out: bool = False


def behaviours() -> dict[str, Behaviour]:
    """Read off the tests which lines of the list they port, and how they differ."""
    found: dict[str, Behaviour] = {}
    for file in sorted(HERE.glob("test_*.py")):
        module = import_module(f"{__package__}.{file.stem}")
        for name, test in vars(module).items():
            if id := re.match(r"test_([a-k]\d\d)_", name):
                behaviour = found.setdefault(id[1].upper(), Behaviour())
                behaviour.tests.append(f"{file.name}::{name}")
                behaviour.differences += _reasons(getattr(test, "pytestmark", ()))
        for left_out, reason in getattr(module, "LEFT_OUT", {}).items():
            behaviour = found.setdefault(left_out, Behaviour())
            behaviour.is_left_out = True
            behaviour.differences.append(reason)
    return found


def _reasons(marks: Iterable[Any]) -> Iterator[str]:
    for mark in marks:
        if mark.name == "xfail":
            yield mark.kwargs["reason"]
        elif mark.name == "parametrize":
            for parameter in mark.args[1]:
                yield from _reasons(getattr(parameter, "marks", ()))


def ids_of(section: str) -> list[str]:
    """Return the behaviours that a section speaks of."""
    return [word for word in SECTIONS[section].split() if "/" not in word and "." not in word]


def files_of(section: str) -> list[str]:
    """Return the files of ``tests/`` that a section names."""
    return [word for word in SECTIONS[section].split() if word not in ids_of(section)]


def table() -> str:
    """Return the table, as Markdown."""
    found = behaviours()
    rows = ["| section of the reference | tests | differences |", "| --- | --- | --- |"]
    for section in SECTIONS:
        ported = [id for id in ids_of(section) if id in found]
        count = sum(len(found[id].tests) for id in ported)
        files = sorted(
            {f"conformance/{test.partition('::')[0]}" for id in ported for test in found[id].tests}
        )
        tests = [f"{count} in {', '.join(f'`{file}`' for file in files)}"] if count else []
        tests += [f"`{file}`" for file in files_of(section)]
        differences = [
            f"{id}: {difference}"
            for id in ported
            for difference in dict.fromkeys(found[id].differences)
        ]
        told = "<br>".join([*differences, *DIFFERENCES.get(section, [])]).replace("|", "\\|")
        rows.append(f"| {section} | {', '.join(tests)} | {told} |")
    return "\n".join(rows)


def readme() -> str:
    """Return what ``tests/README.md`` should be."""
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"
