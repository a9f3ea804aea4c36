"""Source files that change while an application of them serves, over a real port."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import websockets

from runtime import RuntimeConfig, errors
from runtime.reloading import Reloader
from tests.servers import TRANSPORTS, http_client, serving

OBJECTS = '''
import asyncio
from dataclasses import dataclass

from runtime import DurableObject, Request, Response, WebSocket
from parlour.speech import words


@dataclass
class Seed:
    """What goes from a handler to an object."""

    kind: str


class Parrot(DurableObject):
    """Repeats what it hears."""

    async def fetch(self, request: Request) -> Response:
        self.ctx.accept_web_socket(request.web_socket, tags=["perch"])
        request.web_socket.serialize_attachment("seed")
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str) -> None:
        if message == "think":
            self.waits = asyncio.Event()
            await self.waits.wait()
        elif message == "enough":
            self.waits.set()
        ws.send(f"{words()} {message} {self.ctx.get_tags(ws)[0]} {ws.deserialize_attachment()}")

    async def say(self) -> str:
        return words()

    async def eat(self, seed: Seed) -> str:
        return f"{words()} {seed.kind}"
'''

SPEECH = """
def words() -> str:
    return "old"
"""

APP = """
import asyncio
from contextlib import asynccontextmanager
from typing import Any

import litestar
from litestar import Litestar, get, websocket
from litestar.di import NamedDependency

from parlour import objects
from runtime import DurableObjectNamespace, Runtime
from runtime.litestar import DurableObjectsPlugin, forward

NAME = "old"
Parrots = NamedDependency[DurableObjectNamespace[objects.Parrot]]


@get("/name")
async def name() -> str:
    return NAME


@get("/say")
async def say(parrots: Parrots) -> str:
    return await parrots.get_by_name("polly").say()


@get("/slowly")
async def slowly(diary: NamedDependency[Any]) -> str:
    diary.append("began")
    while "go on" not in diary:
        await asyncio.sleep(0.005)
    return NAME


@get("/feed")
async def feed(parrots: Parrots, diary: NamedDependency[Any]) -> str:
    diary.append("began")
    while "go on" not in diary:
        await asyncio.sleep(0.005)
    return await parrots.get_by_name("polly").eat(objects.Seed("corn"))


@websocket("/perch")
async def perch(socket: litestar.WebSocket, parrots: Parrots) -> None:
    await forward(socket, to=parrots.get_by_name("polly"))


def create_app(config: Any, diary: Any) -> Litestar:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> Any:
        diary.append(f"{NAME} starts")
        yield
        diary.append(f"{NAME} ends")

    runtime = Runtime(config, bindings={"parrots": objects.Parrot})
    return Litestar(
        [name, say, slowly, feed, perch],
        plugins=[DurableObjectsPlugin(runtime)],
        dependencies={"diary": litestar.di.Provide(lambda: diary, sync_to_thread=False)},
        lifespan=[lifespan],
        logging_config=None,
    )
"""


class Project:
    """The source files of a little application, and what it has noted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "parlour"
        self.diary: list[str] = []
        self.arguments = {"config": RuntimeConfig(data=folder / "data"), "diary": self.diary}
        self.folder.mkdir()
        self.write("__init__", "")
        self.write("objects", OBJECTS)
        self.write("speech", SPEECH)
        self.write("app", APP)

    def write(self, module: str, text: str) -> None:
        """Write a whole file."""
        (self.folder / f"{module}.py").write_text(text)

    def edit(self, module: str, old: str, new: str) -> None:
        """Replace some text of a file, leaving its time as it was: the next edit came quickly."""
        file = self.folder / f"{module}.py"
        text, times = file.read_text(), file.stat()
        assert old in text
        file.write_text(text.replace(old, new))
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    def modules(self) -> dict[str, ModuleType]:
        """What is imported of it."""
        return {name: sys.modules[name] for name in sys.modules if name.startswith("parlour")}

    def reloader(
        self, *, watches: bool = False, folder: Path | None = None, module: str = "parlour.app"
    ) -> Reloader:
        """The application, reloading."""
        return Reloader(
            f"{module}:create_app",
            folders=[folder or self.folder],
            arguments=self.arguments,
            watches=watches,
        )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.syspath_prepend(tmp_path)
    project = Project(tmp_path)
    yield project
    for name in project.modules():
        del sys.modules[name]


@pytest.fixture
async def reloader(project: Project) -> Reloader:
    return project.reloader()


@asynccontextmanager
async def client(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Serve an application inside the block, to a client of it."""
    async with (
        serving(app) as address,
        http_client(f"http://{address}", timeout=20) as http,
    ):
        yield http


async def until(happened: Callable[[], bool]) -> None:
    """Wait for what gives no signal."""
    for _ in range(2000):
        if happened():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it hasn't happened")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_socket_stays_open_and_its_next_message_is_answered_by_the_new_code(
    project: Project, reloader: Reloader, transport: str
) -> None:
    async with (
        serving(reloader, **TRANSPORTS[transport]) as address,
        websockets.connect(f"ws://{address}/perch") as socket,
    ):
        await socket.send("hello")
        before = await socket.recv()

        project.edit("speech", "old", "new")
        await reloader.reload()
        await socket.send("hello")

        assert before == "old hello perch seed"
        assert await socket.recv() == "new hello perch seed"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_handler_that_is_running_ends_in_the_old_code_and_its_answer_arrives(
    project: Project, reloader: Reloader, transport: str
) -> None:
    async with (
        serving(reloader, **TRANSPORTS[transport]) as address,
        websockets.connect(f"ws://{address}/perch") as socket,
    ):
        await socket.send("think")
        await socket.send("meanwhile")
        assert await socket.recv() == "old meanwhile perch seed"

        project.edit("speech", "old", "new")
        await reloader.reload()
        await socket.send("enough")
        ends = {await socket.recv(), await socket.recv()}
        await socket.send("hello")

        assert ends == {"old enough perch seed", "old think perch seed"}
        assert await socket.recv() == "new hello perch seed"


async def test_requests_go_to_the_new_application_and_find_the_objects_of_the_old(
    project: Project, reloader: Reloader
) -> None:
    async with client(reloader) as http:
        before = [(await http.get(path)).text for path in ("/name", "/say")]

        project.edit("app", '"old"', '"new"')
        project.edit("objects", "return words()", 'return f"{words()} {await self.count()}"')
        counting = "\n    async def count(self) -> int:\n        return 1\n"
        project.write("objects", (project.folder / "objects.py").read_text() + counting)
        await reloader.reload()

        assert before == ["old", "old"]
        assert [(await http.get(path)).text for path in ("/name", "/say")] == ["new", "old 1"]


async def test_a_request_that_is_under_way_ends_in_the_old_application(
    project: Project, reloader: Reloader
) -> None:
    """Whose lifespan ends after that, and the runtime's with that of the last application."""
    diary = project.diary
    async with client(reloader) as http:
        request = asyncio.create_task(http.get("/slowly"))
        await until(lambda: "began" in diary)

        project.edit("app", '"old"', '"new"')
        await reloader.reload()
        at_once = list(diary)
        diary.append("go on")
        answer = (await request).text
        await until(lambda: "old ends" in diary)
        diary.append("stop")

        assert answer == "old"
        assert (await http.get("/say")).text == "old"
    assert at_once == ["old starts", "began", "new starts"]
    assert diary == [*at_once, "go on", "old ends", "stop", "new ends"]


async def test_a_request_that_ends_soon_has_given_its_values_to_objects_of_their_own_classes(
    project: Project, reloader: Reloader
) -> None:
    """What comes meanwhile waits, and finds the new code."""
    diary = project.diary
    async with client(reloader) as http:
        request = asyncio.create_task(http.get("/feed"))
        await until(lambda: "began" in diary)

        project.edit("app", '"old"', '"new"')
        project.edit("speech", "old", "new")
        reload = asyncio.create_task(reloader.reload())
        await until(lambda: "new starts" in diary)
        later = asyncio.create_task(http.get("/name"))
        diary.append("go on")
        await reload

        assert ((await request).text, (await later).text) == ("old corn", "new")


@pytest.mark.parametrize(
    ("module", "old", "new", "why"),
    [
        ("speech", "-> str:", "-> str", r"speech.py:2: SyntaxError: expected ':'"),
        ("speech", '"old"', '"', r"speech.py:3: SyntaxError: unterminated string literal .*"),
        ("speech", "words", "word", r"objects.py:6: ImportError: cannot import name 'words' .*"),
        ("speech", "def", "1 / 0\ndef", r"speech.py:2: ZeroDivisionError: division by zero"),
        ("speech", "def", "exit('stop')\ndef", r"speech.py:2: SystemExit: stop"),
        ("objects", ", request: Request", "", r"app.py:\d+: TypeError: Parrot.fetch\(\) .*"),
        (
            "app",
            "bindings={",
            'bindings={"x": objects.Parrot, ',
            "the binding 'x' is new, which .*",
        ),
        ("app", "create_app", "make_app", r"AttributeError: .* has no attribute 'create_app'"),
        (
            "app",
            "Litestar(\n",
            "Litestar([name]) or Litestar(\n",
            r"TypeError: .* has no Durable.*",
        ),
        ("app", "yield", "1 / 0\n        yield", r"app.py:\d+: ZeroDivisionError: division by .*"),
        ("objects", "-> str", "-> 'Word'", r"TypeError: Parrot.eat\(\): an annotation can't .*"),
    ],
    ids=[
        "syntax",
        "string",
        "import",
        "error",
        "exit",
        "class",
        "binding",
        "factory",
        "plugin",
        "startup",
        "annotation",
    ],
)
async def test_code_that_doesnt_work_keeps_the_old_serving_and_is_explained(
    project: Project, reloader: Reloader, module: str, old: str, new: str, why: str
) -> None:
    async with client(reloader) as http:
        await http.get("/say")
        modules = project.modules()

        project.edit("app", 'NAME = "old"', "from parlour.names import NAME")
        project.write("names", 'NAME = "new"\n')
        working = (project.folder / f"{module}.py").read_text()
        project.edit(module, old, new)
        with pytest.raises(errors.CodeRefused, match=f"{why}; the code of before goes on$"):
            await reloader.reload()

        assert project.modules() == modules
        assert [(await http.get(path)).text for path in ("/name", "/say")] == ["old", "old"]
        project.write(module, working)
        await reloader.reload()
        assert [(await http.get(path)).text for path in ("/name", "/say")] == ["new", "old"]


async def test_two_quick_edits_of_the_same_size_are_told_apart(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python would take the second for the first: compiled code goes by the second and the size."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    reloader = project.reloader()
    async with client(reloader) as http:
        for word in ("one", "two"):
            project.edit("speech", "one" if word == "two" else "old", word)
            await reloader.reload()

            assert (await http.get("/say")).text == word


async def test_a_module_is_new_too_where_its_package_isnt_watched(project: Project) -> None:
    inner = project.folder / "inner"
    inner.mkdir()
    project.write("inner/food", 'NAME = "seed"\n')
    project.write(
        "inner/app", APP.replace('NAME = "old"', 'from parlour.inner import food\nNAME = ""')
    )
    project.edit("inner/app", "    return NAME", "    return food.NAME")
    reloader = project.reloader(folder=inner, module="parlour.inner.app")
    async with client(reloader) as http:
        inner_package = sys.modules["parlour.inner"]
        project.write("inner/food", "NAME")
        with pytest.raises(errors.CodeRefused):
            await reloader.reload()
        food_after_refusal = vars(inner_package)["food"]
        project.write("inner/food", 'NAME = "nuts"\n')
        await reloader.reload()

        assert food_after_refusal.NAME == "seed"
        assert (await http.get("/name")).text == "nuts"


async def test_one_module_is_said_to_be_one(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="runtime")
    (project.folder / "inner").mkdir()
    project.write("inner/app", APP)
    reloader = project.reloader(folder=project.folder / "inner", module="parlour.inner.app")

    async with client(reloader):
        await reloader.reload()

    assert "reloaded 1 module in " in caplog.text


async def test_nothing_is_reloaded_that_isnt_being_served(reloader: Reloader) -> None:
    with pytest.raises(RuntimeError, match="isn't being served"):
        await reloader.reload()


async def test_files_that_change_are_noticed(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="runtime")

    async with client(project.reloader(watches=True)) as http:
        project.write("speech", SPEECH.replace("old", "new"))
        await until(lambda: "reloaded 4 modules in " in caplog.text)
        assert (await http.get("/say")).text == "new"

        project.write("speech", "nonsense here")
        why = "speech.py:1: SyntaxError: invalid syntax; the code of before goes on"
        await until(lambda: why in caplog.text)
        (project.folder / "notes.txt").write_text("no code")
        assert (await http.get("/say")).text == "new"

    assert caplog.text.count("reloaded") == 1


async def test_a_file_that_isnt_reloaded_is_said_to_take_a_restart(
    project: Project,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    main = project.folder / "__main__.py"
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(main), raising=False)

    async with client(project.reloader(watches=True)):
        main.write_text("")
        await until(lambda: "__main__.py has changed, which takes a restart" in caplog.text)
