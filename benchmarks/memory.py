"""What sockets and objects cost that nobody needs just now: W5 in memory, W6 in time."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Callable

from benchmarks.crowd import Crowd
from benchmarks.load import once
from benchmarks.processes import Server, raise_file_limit, serving
from benchmarks.results import Result

SOCKETS = 5000
SOCKETS_A_ROOM = 50
ASLEEP = 10_000  # objects that were used once
AWAKE = 1000
WARM_UP = 1000  # of what is measured: they are there before, and aren't counted
AT_ONCE = 1000  # objects of which the next ones come when these are asleep
FIRST_READS = 300  # in a round
KNOWN = 100  # are read before, for the server to have answered something
IDLE_SECONDS = 0.25
SETTLE_SECONDS = 0.5
PATIENCE_SECONDS = 60
FILES = 7000  # one for each socket, three for each object that is awake
CONNECTIONS = 64

Step = Callable[[], object]


async def w5(rounds: int, seconds: float, step: Step, *, transport: str) -> list[Result]:
    """What the process grows by, for each: its proportional set size, less what isn't in use."""
    raise_file_limit(FILES)
    ours, theirs, asleep, awake = [], [], [], []
    sleepy = ("benchmarks.rooms", "--ws", transport, "--idle", str(IDLE_SECONDS))
    for _ in range(rounds):
        async with serving("benchmarks.plain") as server:
            theirs.append(await _of_a_socket(server))
        step()
        async with serving(*sleepy) as server:
            ours.append(await _of_a_socket(server))
        step()
        async with serving(*sleepy) as server:
            asleep.append(await _of_an_object(server, ASLEEP, awake=0))
        step()
        async with serving("benchmarks.rooms") as server:
            awake.append(await _of_an_object(server, AWAKE, awake=AWAKE + WARM_UP))
        step()
    what = f"an idle socket, of {SOCKETS:,} in rooms of {SOCKETS_A_ROOM} that sleep"
    cost = statistics.median
    return [
        Result("W5", what, "KB", cost(ours), "FastAPI", cost(theirs)),
        Result("W5", f"an object asleep, of {ASLEEP:,} that were used once", "KB", cost(asleep)),
        Result("W5", f"an object awake, of {AWAKE:,}", "KB", cost(awake)),
    ]


async def w6(rounds: int, seconds: float, step: Step) -> list[Result]:
    """The first request to an object since the server has started: it reads a row."""
    took: dict[str, list[float]] = {"benchmarks.plain": [], "benchmarks.rooms": []}
    with tempfile.TemporaryDirectory() as data:
        names = _notes("note", KNOWN + rounds * FIRST_READS)
        for module in took:
            async with serving(module, data=data) as server:
                await once(server.port, names, method="POST", connections=CONNECTIONS)
        async with (
            serving("benchmarks.plain", data=data) as plain,
            serving("benchmarks.rooms", data=data) as rooms,
        ):
            for server in (plain, rooms):
                await once(server.port, names[:KNOWN])
            for begin in range(KNOWN, len(names), FIRST_READS):
                for server, figures in zip((plain, rooms), took.values(), strict=True):
                    found = await once(server.port, names[begin : begin + FIRST_READS])
                    figures.append(statistics.median(found))
                    step()
    theirs, ours = (statistics.median(figures) * 1000 for figures in took.values())
    what = "the first request to an object on disk, p50"
    return [Result("W6", what, "ms", ours, "FastAPI, the same row", theirs)]


async def _of_a_socket(server: Server) -> float:
    """Return the cost of an idle socket in KB."""
    crowd = Crowd(server.port, b"nobody says a word")
    rooms = [f"/rooms/{number // SOCKETS_A_ROOM}" for number in range(WARM_UP + SOCKETS)]
    await crowd.join(rooms[:WARM_UP])
    before = await _settled(server, awake=0)
    await crowd.join(rooms[WARM_UP:])
    after = await _settled(server, awake=0)
    assert crowd.is_whole, "idle sockets stay open"
    crowd.leave()
    return (after - before) / SOCKETS / 1024


async def _of_an_object(server: Server, count: int, *, awake: int) -> float:
    """Return the cost of an object in KB, once so many of them are awake."""
    notes = _notes("note", WARM_UP + count)
    await once(server.port, notes[:WARM_UP], method="POST", connections=CONNECTIONS)
    before = await _settled(server, awake=min(WARM_UP, awake))
    for begin in range(WARM_UP, len(notes), AT_ONCE):
        some = notes[begin : begin + AT_ONCE]
        await once(server.port, some, method="POST", connections=CONNECTIONS)
        if not awake:
            await _fallen_asleep(server)
    after = await _settled(server, awake=awake)
    return (after - before) / count / 1024


async def _settled(server: Server, *, awake: int) -> int:
    """Return how many bytes the server takes, once so many objects are awake."""
    await _fallen_asleep(server, but=awake)
    await asyncio.sleep(SETTLE_SECONDS)
    await server.get("/awake")
    return server.memory()


async def _fallen_asleep(server: Server, *, but: int = 0) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while int(await server.get("/awake")) > but:  # noqa: ASYNC110  # it can't tell
            await asyncio.sleep(SETTLE_SECONDS)


def _notes(kind: str, count: int) -> list[str]:
    return [f"/notes/{kind}{number}" for number in range(count)]
