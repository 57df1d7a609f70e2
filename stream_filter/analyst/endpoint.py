"""One OpenAI-compatible endpoint, through the openai SDK. The one door to it: its errors and its
answers become ours here, and nothing that a server says in an error goes any further."""

import asyncio
import re
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import orjson

from stream_filter.analyst.outcome import Cause
from stream_filter.core.errors import ConfigError, StreamFilterError
from stream_filter.kafka.connection import Secret

_FUNCTION = "give_verdicts"
_LONGEST_RETRY_AFTER_S = 3600.0
_DOUBTS = 2
_MOST_BYTES = 8 << 20
"""Of an answer: a server that never ends must not fill the memory."""
_MOST_TOKENS = 100_000_000
_SHORTEST_SECRET = 6
_USERINFO = re.compile(r"//.*@")


class Form(StrEnum):
    """How an answer of a certain schema is asked for."""

    JSON_SCHEMA = "json_schema"
    TOOL = "tool"
    JSON_OBJECT = "json_object"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSpec:
    """Where a model is, and what it costs. Its repr shows no secret."""

    base_url: str = field(repr=False)
    """A password may stand in it: `address` is for printing."""
    model: str
    judge: str
    """Its name in verdicts."""
    key: Secret | None = None
    input_price: float = 0.0
    """Of a million tokens."""
    output_price: float = 0.0
    form: Form | None = None
    """None: whichever the server takes."""
    timeout_s: float = 60.0
    temperature: float | None = None
    answer_tokens: int = 60
    """Room for the answer on one event."""
    proxy: str | None = field(default=None, repr=False)
    ca_file: Path | None = None

    @property
    def address(self) -> str:
        """The base URL without what may be secret in it."""
        return _USERINFO.sub("//", self.base_url)

    @property
    def secrets(self) -> list[str]:
        """What must stand in nothing that is written: the key, and a password in the base URL. A
        short one is a word like others."""
        found = [self.key.reveal()] if self.key else []
        try:
            password = urlsplit(self.base_url).password or ""
        except ValueError:
            return found
        return [*found, password] if len(password) >= _SHORTEST_SECRET else found

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """In the currency of the prices."""
        spent = input_tokens * self.input_price + output_tokens * self.output_price
        return spent / 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back: not yet known to fit."""

    content: str | None
    is_whole: bool
    """False where the model was stopped in the middle."""
    is_refusal: bool
    answer_id: str
    input_tokens: int
    output_tokens: int
    seconds: float


class RequestFailedError(StreamFilterError):
    """No answer. `cause` says why; `may_cost`: the server may have done the work all the same;
    `asks_again`: it wants to be asked in another way, which is known now; `detail`: what an
    operator may want to know besides."""

    def __init__(
        self,
        cause: Cause,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        may_cost: bool = False,
        asks_again: bool = False,
        detail: str = "",
    ) -> None:
        said = str(status) if status else detail
        super().__init__(f"{cause.value}" + (f" ({said})" if said else ""))
        self.cause = cause
        self.status = status
        self.retry_after_s = retry_after_s
        self.may_cost = may_cost
        self.asks_again = asks_again
        self.retriable = asks_again or cause is not Cause.REFUSED


class Endpoint:
    """Sends one request at a time; retries and limits are its caller's. Use as an async context."""

    def __init__(self, spec: EndpointSpec) -> None:
        """Raises ConfigError where TLS files, the address or the proxy cannot be used."""
        self.spec = spec
        self._forms = [spec.form] if spec.form else list(Form)
        """What the server may take, the likeliest first; one, once an answer has come."""
        self._errors = 0
        self._is_proven = False
        self._limit = "max_tokens"
        """What the server calls the most tokens of an answer."""
        self._temperature = spec.temperature
        self._client = _client(spec)

    async def __aenter__(self) -> "Endpoint":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def ask(
        self,
        messages: Sequence[dict[str, str]],
        schema: dict[str, Any],
        *,
        most_tokens: int,
        refused: set[Form],
    ) -> Reply:
        """Ask once for an answer of a JSON Schema, in at most `most_tokens`. `refused` belongs to
        these messages, and is added to: the forms in which the server would not have them. One
        prompt that it will not have in any form says nothing about the forms.

        Raises RequestFailedError, and ConfigError where only a person can help.
        """
        form = next((each for each in self._forms if each not in refused), None)
        if form is None:
            raise RequestFailedError(Cause.REFUSED)
        options: dict[str, Any] = {self._limit: most_tokens, **_form_options(form, schema)}
        if self._temperature is not None:
            options["temperature"] = self._temperature
        try:
            return await self._ask(messages, form, options)
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            asks_again = self._does_without(error, options)
            if not asks_again:
                refused.add(form)
                self._pass_over(form)
                asks_again = any(each not in refused for each in self._forms)
            raise RequestFailedError(
                Cause.REFUSED, status=error.status_code, asks_again=asks_again
            ) from None
        except RequestFailedError as failure:
            # Some servers, like that of llama-cpp-python, have 500 for a form unknown to them.
            if failure.cause is Cause.SERVER_ERROR and not self._is_proven:
                self._errors += 1
                if self._errors % _DOUBTS == 0:
                    self._pass_over(form)
            raise

    def _pass_over(self, form: Form) -> None:
        """While nothing was answered yet, the next ones are asked in the next form first."""
        if not self._is_proven and form is self._forms[0]:
            self._forms = [*self._forms[1:], form]

    def _does_without(self, error: openai.APIStatusError, options: dict[str, Any]) -> bool:
        """Whether the server, as those of reasoning models do, will not have a parameter that there
        is another way for; from now on that one is taken."""
        if not str(error.code).startswith("unsupported") or error.param not in options:
            return False
        if error.param == "max_tokens":
            self._limit = "max_completion_tokens"
        elif error.param == "temperature":
            self._temperature = None
        else:
            return False
        return True

    async def _ask(
        self,
        messages: Sequence[dict[str, str]],
        form: Form,
        options: dict[str, Any],
    ) -> Reply:
        began_s = time.monotonic()
        try:
            # The SDK's time-out starts anew with each byte; this one does not.
            async with asyncio.timeout(self.spec.timeout_s):
                asking = self._client.chat.completions.with_streaming_response.create(
                    model=self.spec.model,
                    messages=messages,  # type: ignore[arg-type]  # plain dicts of its shape
                    **options,
                )
                async with asking as response:
                    body = bytearray()
                    async for chunk in response.iter_bytes():
                        body += chunk
                        if len(body) > _MOST_BYTES:
                            raise RequestFailedError(Cause.SERVER_ERROR, may_cost=True)
        except (openai.BadRequestError, openai.UnprocessableEntityError, RequestFailedError):
            raise
        except Exception as error:  # a torn body fails with errors of any type
            raise self._translated(error) from None
        reply = _reply(bytes(body), time.monotonic() - began_s, key=self.spec.key)
        self._forms, self._is_proven = [form], True
        return reply

    def _translated(self, error: Exception) -> StreamFilterError:
        if isinstance(error, openai.RateLimitError):
            after_s = _retry_after_s(error.response.headers.get("retry-after"))
            return RequestFailedError(Cause.TOO_MANY, status=429, retry_after_s=after_s)
        if isinstance(error, openai.APIStatusError):
            status = error.status_code
            if status in {401, 402, 404, 407}:
                return refusal(self.spec, status)
            after_s = _retry_after_s(error.response.headers.get("retry-after"))
            cause = Cause.SERVER_ERROR if status >= 500 or status in {408, 409} else Cause.REFUSED
            return RequestFailedError(cause, status=status, retry_after_s=after_s)
        if isinstance(error, openai.APITimeoutError | TimeoutError):
            return RequestFailedError(Cause.TIMEOUT, may_cost=True)
        # No connection, or a body that is no answer: torn, or not of this protocol.
        return RequestFailedError(Cause.UNREACHABLE, may_cost=True, detail=_root(error))


def _root(error: BaseException) -> str:
    """What began it, by the name of its type: a text might have a secret in it."""
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    return type(error).__name__


def refusal(spec: EndpointSpec, status: int) -> ConfigError:
    """That a server wants nothing to do with us, in a line."""
    what = {404: f"knows no model {spec.model!r} at this address", 402: "wants to be paid first"}
    return ConfigError(
        f"endpoint {spec.judge}: {spec.address} {what.get(status, 'refuses the key')} ({status}): "
        "correct base_url, model or key"
    )


def _client(spec: EndpointSpec) -> openai.AsyncOpenAI:
    """What goes wrong here may have a password in its text, so that is not printed."""
    try:
        verify = ssl.create_default_context(cafile=str(spec.ca_file)) if spec.ca_file else True
    except OSError as error:
        said = error.strerror or "no certificates can be read"
        raise ConfigError(f"endpoint {spec.judge}: ca_file {spec.ca_file}: {said}") from None
    try:
        return openai.AsyncOpenAI(
            api_key=spec.key.reveal() if spec.key else "none",
            base_url=spec.base_url,
            timeout=spec.timeout_s,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(proxy=spec.proxy, verify=verify),
        )
    except ImportError:
        raise ConfigError(
            f"endpoint {spec.judge}: a SOCKS proxy needs socksio: pip install socksio"
        ) from None
    except Exception:  # httpx's own, and ValueError
        raise ConfigError(
            f"endpoint {spec.judge}: its base_url or proxy is no address: correct it"
        ) from None


def _form_options(form: Form, schema: dict[str, Any]) -> dict[str, Any]:
    if form is Form.JSON_SCHEMA:
        named = {"name": _FUNCTION, "schema": schema, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    if form is Form.TOOL:
        function = {"name": _FUNCTION, "description": "Gives the answer.", "parameters": schema}
        choice = {"type": "function", "function": {"name": _FUNCTION}}
        return {"tools": [{"type": "function", "function": function}], "tool_choice": choice}
    return {"response_format": {"type": "json_object"}}


def _reply(body: bytes, seconds: float, *, key: Secret | None) -> Reply:
    """Raises RequestFailedError for what is no chat completion."""
    try:
        answer = orjson.loads(body)
        choice, usage = answer["choices"][0], answer.get("usage") or {}
        message = choice["message"]
        content = message.get("content")
        if calls := message.get("tool_calls"):
            content = calls[0]["function"]["arguments"]
        if isinstance(content, list):  # in parts, as some servers have it
            content = "".join(part["text"] for part in content if part["type"] == "text")
        answer_id = str(answer.get("id") or "")
        if key is not None:
            answer_id = answer_id.replace(key.reveal(), "<key>")
        finish = choice.get("finish_reason")
        return Reply(
            content=content if isinstance(content, str) else None,
            is_whole=finish != "length",
            is_refusal=finish == "content_filter" or bool(message.get("refusal")),
            answer_id=answer_id[:100].encode("ascii", "replace").decode(),
            input_tokens=_count(usage.get("prompt_tokens")),
            output_tokens=_count(usage.get("completion_tokens")),
            seconds=seconds,
        )
    except (AttributeError, LookupError, TypeError, ValueError):
        raise RequestFailedError(Cause.SERVER_ERROR, may_cost=True) from None


def _count(said: Any) -> int:
    """What a server says that it counted; 0: it does not count."""
    return said if isinstance(said, int) and 0 < said <= _MOST_TOKENS else 0


def _retry_after_s(value: str | None) -> float | None:
    """Seconds, given as such or as a date; None where there is none to be read."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_S)
