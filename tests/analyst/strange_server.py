"""A server that answers whatever a test wants."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from stream_filter.analyst.config import AnalystConfig, load_analyst
from stream_filter.testing.broker_process import HOST
from stream_filter.testing.stand_in import asked_events

Answer = Callable[[dict[str, Any], web.Request], web.StreamResponse]
"""To what was asked."""


@asynccontextmanager
async def strange_server(answer: Answer) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Its base URL, and what it was asked."""
    asked: list[dict[str, Any]] = []

    async def complete(request: web.Request) -> web.StreamResponse:
        asked.append(await request.json())
        response = answer(asked[-1], request)
        if isinstance(response, Endless):
            await response.go_on(request)
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    try:
        yield f"http://{HOST}:{runner.addresses[0][1]}/v1", asked
    finally:
        await runner.cleanup()


class Endless(web.StreamResponse):
    """A body without end, as fast as it is read."""

    async def go_on(self, request: web.Request) -> None:
        await self.prepare(request)
        try:
            while True:
                await self.write(b" " * 65_536)
        except ConnectionError:
            pass


def verdicts(asked: dict[str, Any], **more: Any) -> str:
    """All of what was asked about is important."""
    ids = [event["id"] for event in asked_events(asked["messages"])]
    return json.dumps({"verdicts": [{"id": each, "important": True, **more} for each in ids]})


def completion(asked: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An answer that fits, with `changes`: of `message`, or of the whole."""
    message = {"role": "assistant", "content": verdicts(asked), **changes.pop("message", {})}
    whole: dict[str, Any] = {
        "id": "answer",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    }
    return whole | changes


def config_for(base_url: str, folder: Path, **endpoint: Any) -> AnalystConfig:
    """A config that asks it, with reasons."""
    path = folder / "analyst.yaml"
    document = {
        "version": 1,
        "endpoint": {"base_url": base_url, "model": "m", "timeout": "20s", **endpoint},
        "topics": {"t": {"reasons": True}},
    }
    path.write_bytes(orjson.dumps(document))
    return load_analyst(path)
