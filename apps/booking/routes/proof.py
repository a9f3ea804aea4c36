"""The proof, run in a process of its own, and watched on a page."""

import asyncio
import contextlib
import json
import sys
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect, Response, Template

from apps import pages
from apps.booking.routes.forms import FORM
from apps.edge import GuestRequest

PATIENCE_SECONDS: Final = 300.0
MAX_SEED: Final = 10**9
MAX_WAITING: Final = 4  # runs, the one that is under way included
KEPT: Final = 50  # runs that can be looked at
VARIANTS: Final = ("sound", "hasty", "forgetful")
Seed = Annotated[int, QueryParameter(ge=0, le=MAX_SEED)]


@dataclass(slots=True)
class Run:
    """A run, under way or done."""

    seed: int
    variant: str
    course: dict[str, Any] = field(default_factory=dict)
    """How far it is, as `proof.course.Course` has it; empty until it has begun."""
    failure: str = ""
    """Why it has come to nothing, if it has."""

    @property
    def is_done(self) -> bool:
        return bool(self.failure or self.course.get("is_done"))


class Runs:
    """The runs of this server: one at a time, because each takes all that a processor has."""

    def __init__(self) -> None:
        self._runs: dict[tuple[int, str], Run] = {}
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, seed: int, variant: str) -> Run | None:
        """Return a run, which begins if it hasn't: the same seed is the same run.

        None if as many are under way as may wait for each other.
        """
        run = self._runs.get((seed, variant))
        if run is None or run.failure:
            if len(self._tasks) >= MAX_WAITING:
                return None
            run = self._runs[seed, variant] = Run(seed, variant)
            task = asyncio.ensure_future(self._go(run))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            for oldest in list(self._runs)[:-KEPT]:
                del self._runs[oldest]
        return run

    def find(self, seed: int, variant: str) -> Run | None:
        """Return a run, if there is one."""
        return self._runs.get((seed, variant))

    async def stop(self) -> None:
        """End all runs that are under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._runs.clear()

    async def _go(self, run: Run) -> None:
        async with self._turn:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "apps.booking.proof", str(run.seed), run.variant),
                cwd=pages.ROOT,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            assert process.stdout is not None
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    async for line in process.stdout:
                        run.course = json.loads(line)
            except TimeoutError:
                run.failure = "it took too long"
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            if not run.is_done:
                run.failure = "the simulator has ended by itself"


RUNS: Final = Runs()


@get("/booking/proof", include_in_schema=False)
async def show_proof(
    seed: Seed = 7, variant: Annotated[str, QueryParameter()] = "sound"
) -> Template:
    """Show what can be run, and how far it is: one beside a broken one."""
    return Template("booking/proof.html", context=_context(seed, variant))


@post("/booking/proof", **FORM | {"guards": []})
async def run_proof(request: GuestRequest) -> Response[Any]:
    """Run the simulator."""
    form = await request.form()
    seed = str(form.get("seed") or "7")
    variant = str(form.get("variant") or "sound")
    is_seed = seed.isdecimal() and len(seed) <= len(str(MAX_SEED)) and int(seed) <= MAX_SEED
    if not is_seed or variant not in VARIANTS:
        context = _context(7, "sound") | {"notice": "A seed is a number up to a billion."}
        return Template("booking/proof.html", context=context, status_code=422)
    if RUNS.start(int(seed), variant) is None:
        context = _context(int(seed), variant) | {"notice": "Others wait; try again soon."}
        return Template("booking/proof.html", context=context, status_code=429)
    return Redirect(f"/booking/proof?seed={int(seed)}&variant={variant}", status_code=303)


@get("/booking/proof/{seed:int}/{variant:str}", include_in_schema=False)
async def show_progress(seed: FromPath[int], variant: FromPath[str]) -> Template:
    """Show how far a run is: what the page asks for again and again."""
    run = RUNS.find(seed, variant)
    if run is None:
        raise NotFoundException("there is no such run")
    return Template("booking/_run.html", context={"run": run, "invariants": INVARIANTS})


INVARIANTS: Final = (
    "free + held + sold = capacity",
    "no seat belongs to two holds",
    "each seat belongs to the hold that says so",
    "each booking has exactly one payment",
    "each payment has seats, or went back",
    "whoever was told that seats are theirs has them",
)


def _context(seed: int, variant: str) -> dict[str, Any]:
    return {
        "seed": seed,
        "variant": variant,
        "invariants": INVARIANTS,
        "runs": [run for each in VARIANTS if (run := RUNS.find(seed, each))],
        "notice": "",
    }


HANDLERS = [show_proof, run_proof, show_progress]
