"""How fast messages travel through an object: W3, W4."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from time import perf_counter

from benchmarks.crowd import Crowd, Heard, Member
from benchmarks.processes import Effort, raise_file_limit, serving
from benchmarks.results import Result, percentile

SOCKETS = 200
SOCKETS_A_ROOM = 10
DEPTHS = (1, 8)  # messages of each socket under way at a time
MEMBERS = 1000
IN_FLIGHT = 4  # messages of the one who drives a room flat out
INTERVAL_SECONDS = 0.25  # between messages whose way is timed
SETTLE_SECONDS = 0.3
SHORT = b"a message that is to come back.."
LONG = b"<p>a message as long as they are in a chat, with its markup</p>".ljust(200)

Step = Callable[[], object]


async def w3(rounds: int, seconds: float, step: Step, *, transport: str) -> list[Result]:
    """Echo: one socket with one message under way, then many sockets."""
    found: defaultdict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    efforts: defaultdict[str, Effort] = defaultdict(Effort)
    part = seconds / (1 + len(DEPTHS))
    paths = [f"/echo/{number // SOCKETS_A_ROOM}" for number in range(SOCKETS)]
    async with _crowds(paths, SHORT, transport, has_bare=True) as crowds:
        for _ in range(rounds):
            for name, crowd in crowds.items():
                await asyncio.sleep(SETTLE_SECONDS)
                found[name][0].append(statistics.median(await _ways_back(crowd, part)))
                for depth in DEPTHS:
                    found[name][depth].append(await _echoes(crowd, depth, part, efforts[name]))
                step()
    results = []
    for theirs in ("plain", "bare"):
        for depth in (0, *DEPTHS):
            unit, scale = ("µs", 1e6) if depth == 0 else ("1/s", 1)
            what = f"echo, {SOCKETS} sockets, {depth} in flight" if depth else "echo, 1 socket, p50"
            ours, other = (
                statistics.median(found[name][depth]) * scale for name in ("ours", theirs)
            )
            baseline = {"plain": "FastAPI", "bare": "uvicorn alone"}[theirs]
            load = max(efforts["ours"].most, efforts[theirs].most) if depth else None
            results.append(Result("W3", what, unit, ours, baseline, other, load))
    return results


async def w4(rounds: int, seconds: float, step: Step, *, transport: str) -> list[Result]:
    """Chat: a message is kept, then sent to everybody in the room."""
    rates: defaultdict[str, list[float]] = defaultdict(list)
    waits: defaultdict[str, list[float]] = defaultdict(list)
    efforts: defaultdict[str, Effort] = defaultdict(Effort)
    async with _crowds(["/rooms/hall"] * MEMBERS, LONG, transport) as crowds:
        for _ in range(rounds):
            for name, crowd in crowds.items():
                await asyncio.sleep(SETTLE_SECONDS)
                rates[name].append(await deliveries(crowd, seconds, efforts[name]))
                step()
                waits[name] += await _latencies(crowd, seconds)
                step()
    rate = {name: statistics.median(figures) for name, figures in rates.items()}
    room = f"{MEMBERS:,} members"
    what = f"deliveries to {room}"
    load = max(effort.most for effort in efforts.values())
    results = [Result("W4", what, "1/s", rate["ours"], "FastAPI", rate["plain"], load)]
    for percent in (50, 99):
        ours, theirs = (percentile(waits[name], percent) * 1000 for name in ("ours", "plain"))
        what = f"delivery to {room}, {1 / INTERVAL_SECONDS:.0f} messages/s, p{percent}"
        results.append(Result("W4", what, "ms", ours, "FastAPI", theirs))
    return results


@asynccontextmanager
async def _crowds(
    paths: list[str], payload: bytes, transport: str, *, has_bare: bool = False
) -> AsyncIterator[dict[str, Crowd]]:
    """Have all servers running, each with its crowd; ours is the last in each round."""
    raise_file_limit()
    commands = {
        "plain": ["benchmarks.plain"],
        "bare": ["benchmarks.plain", "--bare"],
        "ours": ["benchmarks.rooms", "--ws", transport],
    }
    if not has_bare:
        del commands["bare"]
    async with contextlib.AsyncExitStack() as stack:
        crowds = {}
        for name, command in commands.items():
            server = await stack.enter_async_context(serving(*command))
            crowds[name] = Crowd(server.port, payload)
            stack.callback(crowds[name].leave)
            await crowds[name].join(paths)
        yield crowds


async def _ways_back(crowd: Crowd, seconds: float) -> list[float]:
    """Return how long each message of a single socket was under way, in seconds."""
    took: list[float] = []
    member, expected = crowd.members[0], crowd.received
    sent, is_over = 0.0, False

    def send() -> None:
        nonlocal sent, expected
        expected += 1
        sent = perf_counter()
        crowd.send(member)

    def heard(_: Member, count: int) -> None:
        took.append(perf_counter() - sent)
        if not is_over:
            send()

    with _hearing([member], heard):
        send()
        await asyncio.sleep(seconds)
        is_over = True
        await crowd.have_received(expected)
    return took


async def _echoes(crowd: Crowd, depth: int, seconds: float, effort: Effort) -> float:
    """Return how many messages come back in a second, with so many under way at each socket."""
    return await _flat_out(crowd, crowd.members, depth, 1, seconds, effort)


async def deliveries(crowd: Crowd, seconds: float, effort: Effort) -> float:
    """Return how many messages arrive in a second, at all members, if one member says them all."""
    reach = len(crowd.members)
    return await _flat_out(crowd, crowd.members[:1], IN_FLIGHT, reach, seconds, effort)


async def _flat_out(
    crowd: Crowd, senders: list[Member], depth: int, reach: int, seconds: float, effort: Effort
) -> float:
    """Have each sender send a message for each that comes back, and return the rate of arrivals.

    Args:
        reach: How many receive each message.
    """
    sent, before = 0, crowd.received
    is_over = False

    def send(member: Member, count: int) -> None:
        nonlocal sent
        if not is_over:
            sent += count
            crowd.send(member, count)

    with _hearing(senders, send):
        for sender in senders:
            send(sender, depth)
        effort.begin()
        start = crowd.received
        await asyncio.sleep(seconds)
        elapsed, arrived = effort.end(), crowd.received - start
        is_over = True
        await crowd.have_received(before + sent * reach)
    return arrived / elapsed


async def _latencies(crowd: Crowd, seconds: float) -> list[float]:
    """Return how long each delivery took, in seconds, of messages that come now and then."""
    sent: list[float] = []
    took: list[float] = []
    before = crowd.received
    begin = crowd.members[0].received  # everybody has received as many

    def heard(member: Member, count: int) -> None:
        now = perf_counter()
        number = member.received - begin
        took.extend(now - at for at in sent[number - count : number])

    with _hearing(crowd.members, heard):
        for _ in range(max(1, round(seconds / INTERVAL_SECONDS))):
            sent.append(perf_counter())
            crowd.send(crowd.members[0])
            await asyncio.sleep(INTERVAL_SECONDS)
        await crowd.have_received(before + len(sent) * len(crowd.members))
    return took


@contextlib.contextmanager
def _hearing(members: list[Member], heard: Heard) -> Iterator[None]:
    former = members[0].heard
    for member in members:
        member.heard = heard
    try:
        yield
    finally:
        for member in members:
            member.heard = former
