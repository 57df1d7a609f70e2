"""Whatever a server sends, the analyst goes on, and no event is lost to another's fault."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from stream_filter.analyst.breaker import Breaker
from stream_filter.analyst.courier import Courier, Line
from stream_filter.analyst.endpoint import Endpoint, RequestFailedError
from stream_filter.analyst.observing import AnalystObserver
from stream_filter.analyst.pacing import Limits
from stream_filter.analyst.purse import OpenPurse
from stream_filter.analyst.token_counts import UsageMeter
from stream_filter.core.errors import ConfigError
from stream_filter.telemetry.analyst_metrics import AnalystMetrics
from tests.analyst.strange_server import (
    Endless,
    completion,
    config_for,
    strange_server,
    verdicts,
)
from tests.analyst.without_broker import judged

VALUES = [b"alpha one", b"beta two", b"gamma three", b"delta four"]
KEY = "sk-the-key-of-this-house-42"


def error(status: int, **said: Any) -> web.Response:
    return web.json_response({"error": {"message": "no", **said}}, status=status)


@pytest.mark.parametrize(
    "changes",
    [
        {"message": {"content": [{"type": "text", "text": "PLACE"}]}},
        {"message": {"content": None, "tool_calls": [{"function": {"arguments": "PLACE"}}]}},
        {"usage": None},
        {"usage": {"prompt_tokens": "abc", "completion_tokens": {}}},
        {"usage": {"prompt_tokens": -100_000, "completion_tokens": -5}},
        {"usage": {"prompt_tokens": 10**18, "completion_tokens": 10**18}},
        {"id": 7},
        {"id": None},
    ],
)
async def test_unusual_answers_are_read(changes: dict[str, Any], tmp_path: Path) -> None:
    """Content in parts, a tool call, no usage or none that is a count: what fits counts, and
    nothing costs less than nothing."""

    def answer(asked: dict[str, Any], request: web.Request) -> web.Response:
        filled = json.dumps(changes).replace('"PLACE"', json.dumps(verdicts(asked)))
        return web.json_response(completion(asked, **json.loads(filled)))

    async with strange_server(answer) as (base_url, _):
        found, _ = await judged(config_for(base_url, tmp_path), VALUES)
    assert [verdict["important"] for verdict in found.values()] == [True] * 4
    assert all(0 < verdict["tokens"] < 10_000 for verdict in found.values())


@pytest.mark.parametrize(
    "message",
    [
        {"content": {"verdicts": []}},
        {"content": 7},
        {"content": None},
        {"content": None, "tool_calls": [{"function": {"arguments": {"verdicts": []}}}]},
    ],
)
async def test_an_answer_of_another_type_is_malformed(
    message: dict[str, Any], tmp_path: Path
) -> None:
    """It ends as no verdict with its cause, and never the analyst."""

    def answer(asked: dict[str, Any], request: web.Request) -> web.Response:
        return web.json_response(completion(asked, message=message))

    async with strange_server(answer) as (base_url, _):
        found, _ = await judged(config_for(base_url, tmp_path), VALUES[:2])
    assert {verdict["cause"] for verdict in found.values()} == {"malformed"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "overloaded", "code": 502}}',
        b'{"choices": null}',
        b'{"choices": {"a": 1}}',
        b'{"choices": [{"message": "hello"}]}',
        b'{"choices": [{"message": {"content": null, "tool_calls": {"a": 1}}}]}',
        b'{"id": "\\ud800", "choices": []}',
        b"[1, 2]",
        b"null",
        b"",
        b"<html>",
        b'data: {"choices": [{"delta": {"content": "x"}}]}\n\ndata: [DONE]\n\n',
    ],
)
async def test_what_is_no_answer_is_asked_for_again(body: bytes, tmp_path: Path) -> None:
    """200 with an error, a page, a stream, or nothing: the next one counts, and says which form
    the server takes."""

    def answer(asked: dict[str, Any], request: web.Request) -> web.Response:
        if not seen:
            seen.append(asked)
            return web.Response(body=body, content_type="application/json")
        return web.json_response(completion(asked))

    seen: list[dict[str, Any]] = []
    async with strange_server(answer) as (base_url, _):
        found, _ = await judged(config_for(base_url, tmp_path), VALUES)
    assert [verdict["important"] for verdict in found.values()] == [True] * 4


async def test_a_body_without_end_fills_no_memory(tmp_path: Path) -> None:
    """It is given up after some megabytes, long before its time is over."""

    def answer(asked: dict[str, Any], request: web.Request) -> web.StreamResponse:
        if not seen:
            seen.append(asked)
            return Endless()
        return web.json_response(completion(asked))

    seen: list[dict[str, Any]] = []
    async with strange_server(answer) as (base_url, asked):
        config = config_for(base_url, tmp_path, timeout="10m")
        found, _ = await judged(config, VALUES)
    assert [verdict["important"] for verdict in found.values()] == [True] * 4
    assert len(asked) == 2


async def test_a_date_in_retry_after_is_waited_for(tmp_path: Path) -> None:
    """As RFC 9110 has it, to the second."""

    def answer(asked: dict[str, Any], request: web.Request) -> web.Response:
        at_s.append(time.time())
        if len(at_s) == 1:
            headers = {"Retry-After": formatdate(at_s[0] + 3, usegmt=True)}
            return web.Response(status=429, headers=headers)
        return web.json_response(completion(asked))

    at_s: list[float] = []
    async with strange_server(answer) as (base_url, _):
        await judged(config_for(base_url, tmp_path), VALUES)
    first, second = at_s
    assert second >= int(first + 3) - 0.1


async def test_retry_after_nothing_is_no_reason_to_hurry(tmp_path: Path) -> None:
    """A server that is busy and says 0 each time is asked now and then."""

    def answer(asked: dict[str, Any], request: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "0"})

    async with strange_server(answer) as (base_url, asked):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.0):
                await judged(config_for(base_url, tmp_path), VALUES[:1])
    assert len(asked) < 50


async def test_a_reasoning_model_is_asked_as_it_wants(tmp_path: Path) -> None:
    """No `max_tokens` and no temperature, found out once; the form stays the best one."""

    def answer(asked: dict[str, Any], request: web.Request) -> web.Response:
        for name, code in (
            ("max_tokens", "unsupported_parameter"),
            ("temperature", "unsupported_value"),
        ):
            if name in asked:
                return error(400, param=name, code=code)
        return web.json_response(completion(asked))

    async with strange_server(answer) as (base_url, asked):
        found, _ = await judged(config_for(base_url, tmp_path), VALUES)
    assert [verdict["important"] for verdict in found.values()] == [True] * 4
    assert len(asked) == 3
    assert asked[-1]["max_completion_tokens"] > 0
    assert asked[-1]["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize("status", [400, 403, 413, 422])
async def test_a_text_that_is_refused_spoils_no_other(status: int, tmp_path: Path) -> None:
    """A filter, or a wall before the server, dislikes one text in whatever form: the others have
    their verdicts, also where it comes first and the server takes one form alone."""

    def answer(asked: dict[str, Any], request: web.Request) -> web.Response:
        if "POISON" in json.dumps(asked["messages"]):
            return error(status, code="content_filter")
        if (asked.get("response_format") or {}).get("type") != "json_schema":
            return error(400)
        return web.json_response(completion(asked))

    async with strange_server(answer) as (base_url, _):
        found, _ = await judged(config_for(base_url, tmp_path), [b"POISON", *VALUES])
    assert [found[n]["important"] for n in range(5)] == [None, True, True, True, True]
    assert found[0]["cause"] == "refused"


@asynccontextmanager
async def hasty(base_url: str, folder: Path) -> AsyncIterator[Courier]:
    """A courier whose breaker's time runs a hundred times as fast, and who waits for nothing."""
    observer = AnalystObserver(AnalystMetrics())
    clock = time.monotonic
    async with Endpoint(config_for(base_url, folder).endpoint) as endpoint:
        line = Line(
            endpoint=endpoint,
            limits=Limits(requests_per_minute=None, tokens_per_minute=None, clock=clock),
            breaker=Breaker(lambda: 100 * clock()),
            meter=UsageMeter(),
        )
        yield Courier([line], purse=OpenPurse(), observer=observer, dice=lambda: 0.0)


async def test_a_text_that_breaks_the_server_blocks_nothing(tmp_path: Path) -> None:
    """Nothing else is asked meanwhile, so the breaker opens each time; a harmless question shows
    that the server is there, and that it is this text."""

    def answer(asked: dict[str, Any], request: web.Request) -> web.Response:
        if "POISON" in json.dumps(asked["messages"]):
            return error(500)
        return web.json_response(completion(asked))

    async with strange_server(answer) as (base_url, _), hasty(base_url, tmp_path) as courier:
        with pytest.raises(RequestFailedError, match="server_error"):
            async with asyncio.timeout(60):
                await courier.ask([{"role": "user", "content": "POISON"}], {}, events=1)


async def test_a_server_that_is_down_for_long_is_waited_for(tmp_path: Path) -> None:
    """However often a prompt has failed: where the harmless question fails as well, it is not its
    fault."""

    def answer(asked: dict[str, Any], request: web.Request) -> web.Response:
        seen.append(asked)
        return error(500) if len(seen) < 30 else web.json_response(completion(asked))

    seen: list[dict[str, Any]] = []
    async with strange_server(answer) as (base_url, _), hasty(base_url, tmp_path) as courier:
        async with asyncio.timeout(120):
            delivered = await courier.ask([{"role": "user", "content": "x"}], {}, events=1)
    assert delivered.reply.content is not None


@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_who_is_not_let_in_hears_it_without_the_password(
    status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, that names the address without what is secret in it."""
    monkeypatch.setenv("STRANGE_KEY", KEY)
    async with strange_server(lambda asked, request: error(status)) as (base_url, _):
        with_password = base_url.replace("//", "//user:pass-word-1@")
        config = config_for(with_password, tmp_path, key={"env": "STRANGE_KEY"})
        with pytest.raises(ConfigError) as caught:
            await judged(config, VALUES)
    said = f"{caught.value!r} {config!r} {config.endpoint!r}"
    assert f"({status})" in said
    for secret in (KEY, "pass-word-1"):
        assert secret not in said
        assert secret in config.secrets


async def test_no_part_of_a_key_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a server sends it back as an id, or as a reason whose end would be cut off."""
    monkeypatch.setenv("STRANGE_KEY", KEY)

    def answer(asked: dict[str, Any], request: web.Request) -> web.Response:
        said = request.headers["Authorization"]
        content = verdicts(asked, reason="x" * 280 + said)
        return web.json_response(completion(asked, id=said, message={"content": content}))

    async with strange_server(answer) as (base_url, _):
        config = config_for(base_url, tmp_path, key={"env": "STRANGE_KEY"})
        _, written = await judged(config, VALUES)
    assert b"<key>" in b"".join(written)
    assert KEY[:8].encode() not in b"".join(written)
