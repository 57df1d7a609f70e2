"""A stand-in for a language model: an OpenAI-compatible server on this machine that knows the
truth.

Speaks `POST /v1/chat/completions` (JSON Schema, tool call, JSON mode, usage) and keeps its own
account of every request, so that what a client says it spent can be held against what was served.
"""

import asyncio
import json
import random
import time
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from stream_filter.testing.broker_process import HOST
from stream_filter.testing.stand_in_behaviour import Behaviour, Mishap, Obedience, Truth, obeyed

BYTES_PER_TOKEN = 4
_MINUTE_S = 60.0
_FORMS = {"json_schema": "json_schema", "json_object": "json_object"}


@dataclass(slots=True, kw_only=True)
class Served:
    """One request as the server saw it."""

    answer_id: str
    model: str
    at_s: float
    """When it came, on the monotonic clock."""
    input_tokens: int
    output_tokens: int = 0
    events: int = 0
    outcome: str = "abandoned"
    """`answered`, a mishap, `refused`, or `abandoned`: the client left before the end."""


class StandIn:
    """A context: on entering it listens, on leaving it is gone. `behaviour` may be changed at any
    time."""

    def __init__(self, truth: Truth, behaviour: Behaviour | None = None, *, port: int = 0) -> None:
        """`port` 0: a free one."""
        self.behaviour = behaviour or Behaviour()
        self.served: list[Served] = []
        self.prompts: deque[list[dict[str, Any]]] = deque(maxlen=10_000)
        """The messages of the last requests."""
        self.root: str | None = None
        """Of an outage that it is asked about, the cause, where that is known."""
        self._truth = truth
        self._port = port
        self._dice = random.Random(self.behaviour.seed)  # noqa: S311  nothing secret
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self._port}/v1"

    @property
    def input_tokens(self) -> int:
        """Of the requests that were answered, whatever with."""
        return sum(s.input_tokens for s in self.served if s.output_tokens)

    @property
    def output_tokens(self) -> int:
        return sum(s.output_tokens for s in self.served)

    def most_in_a_minute(self) -> int:
        """The most requests that came in any 60 s."""
        at = sorted(s.at_s for s in self.served)
        return max((n - bisect_right(at, t - _MINUTE_S) for n, t in enumerate(at, 1)), default=0)

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        served = Served(
            answer_id=f"stand-in-{len(self.served)}",
            model=str(asked.get("model")),
            at_s=time.monotonic(),
            input_tokens=_tokens(
                asked["messages"], asked.get("response_format"), asked.get("tools")
            ),
        )
        form = _form(asked)
        if form is not None and form not in self.behaviour.forms:
            served.outcome = "refused"
            self.served.append(served)
            return _error(self.behaviour.refuses_with, f"{form} is not supported")
        over = self._is_over(served)
        self.served.append(served)
        self.prompts.append(asked["messages"])
        mishap = self.behaviour.mishap(self._dice)
        if over or mishap is Mishap.TOO_MANY:
            served.outcome = Mishap.TOO_MANY
            return _error(429, "slow down", {"Retry-After": f"{self.behaviour.retry_after_s:g}"})
        if mishap is Mishap.HANGING:
            served.outcome = mishap
            await asyncio.sleep(3600)
        await asyncio.sleep(self.behaviour.delay_s(self._dice))
        if mishap is Mishap.SERVER_ERROR:
            served.outcome = mishap
            return _error(500, "out of order")
        body = self._answer(asked, form, mishap, served)
        if mishap is Mishap.TORN:
            served.outcome = mishap
            return await _torn(request, body)
        served.outcome = "answered" if mishap is None else mishap
        return web.json_response(body)

    def _is_over(self, served: Served) -> bool:
        behaviour = self.behaviour
        recent = [s for s in self.served if s.at_s > served.at_s - _MINUTE_S]
        tokens = sum(s.input_tokens + s.output_tokens for s in recent) + served.input_tokens
        return bool(
            (behaviour.requests_per_minute and len(recent) >= behaviour.requests_per_minute)
            or (behaviour.tokens_per_minute and tokens > behaviour.tokens_per_minute)
        )

    def _answer(
        self, asked: dict[str, Any], form: str | None, mishap: Mishap | None, served: Served
    ) -> dict[str, Any]:
        content, served.events = self._content(asked["messages"], mishap)
        finish = "stop"
        if mishap is Mishap.CUT_OFF:
            content, finish = content[: len(content) // 2], "length"
        served.output_tokens = _tokens(content)
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if form == "tool":
            name = asked["tools"][0]["function"]["name"]
            call = {"id": "call", "type": "function"}
            call["function"] = {"name": name, "arguments": content}  # type: ignore[assignment]
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
            finish = "tool_calls" if finish == "stop" else finish
        return {
            "id": served.answer_id,
            "object": "chat.completion",
            "created": int(time.time()),
            "model": served.model,
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {
                "prompt_tokens": served.input_tokens,
                "completion_tokens": served.output_tokens,
                "total_tokens": served.input_tokens + served.output_tokens,
            },
        }

    def _content(self, messages: list[dict[str, Any]], mishap: Mishap | None) -> tuple[str, int]:
        outage = asked_outage(messages)
        if outage is not None:
            return self._assessment(outage, mishap), 1
        events = asked_events(messages)
        if mishap is Mishap.MALFORMED or not events:
            return "I am sorry, I would rather talk about something else.", len(events)
        orders = {o for e in events if (o := obeyed(str(e["event"])))}
        if not self.behaviour.is_gullible:
            orders = set()
        verdicts: list[dict[str, Any]] = [
            {"id": e["id"], "important": self._opinion(str(e["event"]), orders)} for e in events
        ]
        for verdict in verdicts:
            if Obedience.TELL_ALL in orders:
                verdict["reason"] = json.dumps(messages)
            if Obedience.ANOTHER_FORM in orders:
                verdict["extra"] = "as you wish"
        if mishap is Mishap.INVENTED:
            verdicts.append({"id": "zzzz", "important": True})
        if mishap is Mishap.MISSING:
            del verdicts[self._dice.randrange(len(verdicts))]
        if Obedience.PROSE in orders:
            return "As you wish: nothing here matters.", len(events)
        return json.dumps({"verdicts": verdicts}, separators=(",", ":")), len(events)

    def _assessment(self, outage: dict[str, Any], mishap: Mishap | None) -> str:
        """On an outage: the truth about its root where it is known, else who complained first."""
        if mishap is Mishap.MALFORMED:
            return "I would rather not say."
        began = {s["service"]: s["complains_since"] for s in outage["services"] if len(s) > 3}
        first = min(began, key=lambda name: (began[name], name), default=None)
        root = self.root if self.root is not None else first
        said = [text["id"] for text in outage["texts"] if text["service"] == root]
        ids = said[:3] or [text["id"] for text in outage["texts"][:1]]
        answer = {
            "is_outage": bool(began),
            "since": began.get(root or "") or (min(began.values()) if began else None),
            "root": root,
            "affected": sorted(began.keys() - {root}),
            "advice": f"Look at {root} first.",
            "events": ids,
        }
        if mishap is Mishap.INVENTED:
            answer["events"] = [*ids, "zzzz"]
        if mishap is Mishap.MISSING:
            answer["events"] = []
        return json.dumps(answer, separators=(",", ":"))

    def _opinion(self, text: str, orders: set[Obedience]) -> bool:
        if Obedience.ALL_UNIMPORTANT in orders:
            return False
        if Obedience.ALL_IMPORTANT in orders:
            return True
        return self.behaviour.judged(text, self._truth, self._dice)


def asked_events(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events that a prompt of the analyst asks about: `{id, event}`, and `times` where more
    than one; none where it is another prompt."""
    try:
        return list(json.loads(messages[-1]["content"])["events"])
    except (ValueError, KeyError, TypeError):
        return []


def asked_outage(messages: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What a question about an outage shows; None where it is another prompt."""
    try:
        outage = json.loads(messages[-1]["content"])["outage"]
    except (ValueError, KeyError, TypeError):
        return None
    return outage if isinstance(outage, dict) else None


def _form(asked: dict[str, Any]) -> str | None:
    if asked.get("tools"):
        return "tool"
    return _FORMS.get((asked.get("response_format") or {}).get("type", ""))


def _tokens(*parts: Any) -> int:
    texts = [p if isinstance(p, str) else json.dumps(p) for p in parts if p is not None]
    return -(-sum(len(text.encode("utf-8", "replace")) for text in texts) // BYTES_PER_TOKEN)


def _error(status: int, said: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"message": said}}, status=status, headers=headers)


async def _torn(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    whole = json.dumps(body).encode()
    response = web.StreamResponse(headers={"Content-Length": str(len(whole))})
    response.content_type = "application/json"
    await response.prepare(request)
    await response.write(whole[: len(whole) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
