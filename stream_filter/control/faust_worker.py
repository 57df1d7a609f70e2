"""The Faust application around the data plane."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import faust
from faust.app.base import BootStrategy
from faust.web import Request, Response, View
from mode import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An answer on the web port."""

    status: int
    content_type: str
    body: bytes


class _WebOnly(BootStrategy):  # type: ignore[misc]  # Faust has no types
    """No consumer of Faust's own: there are no agents and tables before policies are pushed."""

    enable_kafka = False


def faust_app(
    *,
    app_id: str,
    bootstrap: str,
    web_host: str,
    web_port: int,
    pages: Mapping[str, Callable[[], Page]],
    run: Callable[[], Awaitable[None]],
    stop: Callable[[], None],
) -> tuple[faust.App, "asyncio.Future[None]"]:
    """An application that runs the data plane as its service and serves `pages` by path.

    The future ends when the data plane does, with its error if it failed.
    """
    app = faust.App(
        app_id,
        broker=";".join(f"kafka://{server}" for server in bootstrap.split(",")),
        store="memory://",
        autodiscover=False,
        # Faust makes the folder; nothing is kept in it while tables live in memory.
        datadir=Path(tempfile.gettempdir(), f"{app_id}-data"),
        web_host=web_host,
        web_port=web_port,
        web_bind=web_host,
        topic_disable_leader=True,
    )
    app.boot_strategy = _WebOnly(app)
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @app.service
    class DataPlaneService(Service):  # type: ignore[misc]  # mode has no types
        """Starts with the worker; a stop waits until what is in hand is committed."""

        async def on_start(self) -> None:
            self._running = asyncio.ensure_future(run())
            self._running.add_done_callback(_end)

        async def on_stop(self) -> None:
            stop()
            await asyncio.gather(self._running, return_exceptions=True)

    def _end(running: "asyncio.Future[None]") -> None:
        if ended.done():
            return
        if running.cancelled():
            ended.set_result(None)
        elif (error := running.exception()) is not None:
            ended.set_exception(error)
        else:
            ended.set_result(None)

    for path, page in pages.items():
        _serve(app, path, page)
    return app, ended


def _serve(app: faust.App, path: str, page: Callable[[], Page]) -> None:
    @app.page(path, name=f"page{path}")
    class PageView(View):  # type: ignore[misc]  # Faust has no types
        async def get(self, request: Request) -> Response:
            answer = page()
            return self.bytes(answer.body, content_type=answer.content_type, status=answer.status)
