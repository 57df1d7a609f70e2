"""One OpenAI-compatible endpoint, through the openai SDK. The one door to it: its errors and its
answers become ours here, and nothing that a server says in an error goes any further."""

import asyncio
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import openai

from stream_filter.analyst.outcome import Cause
from stream_filter.core.errors import ConfigError, StreamFilterError
from stream_filter.kafka.connection import Secret

_FUNCTION = "give_verdicts"
_LONGEST_RETRY_AFTER_S = 3600.0
_DOUBTS = 2


class Form(StrEnum):
    """How an answer of a certain schema is asked for."""

    JSON_SCHEMA = "json_schema"
    TOOL = "tool"
    JSON_OBJECT = "json_object"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSpec:
    """Where a model is, and what it costs. Its repr shows no secret."""

    base_url: str
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
    proxy: str | None = None
    ca_file: Path | None = None

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
    """No answer. `cause` says why; `may_cost`: the server may have done the work all the same."""

    def __init__(
        self,
        cause: Cause,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        may_cost: bool = False,
    ) -> None:
        super().__init__(f"{cause.value}" + (f" ({status})" if status else ""))
        self.cause = cause
        self.status = status
        self.retry_after_s = retry_after_s
        self.may_cost = may_cost
        self.retriable = cause is not Cause.REFUSED


class Endpoint:
    """Sends one request at a time; retries and limits are its caller's. Use as an async context."""

    def __init__(self, spec: EndpointSpec) -> None:
        """Raises ConfigError where TLS files or the proxy cannot be used."""
        self.spec = spec
        self._all_forms = [spec.form] if spec.form else list(Form)
        self._forms = list(self._all_forms)
        """What the server may take, the best first; one, once an answer has come."""
        self._errors = 0
        self._is_proven = False
        try:
            verify = ssl.create_default_context(cafile=str(spec.ca_file)) if spec.ca_file else True
            http = openai.DefaultAsyncHttpxClient(proxy=spec.proxy, verify=verify)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise ConfigError(
                f"endpoint {spec.judge}: {error}: check its ca_file and proxy"
            ) from None
        self._client = openai.AsyncOpenAI(
            api_key=spec.key.reveal() if spec.key else "none",
            base_url=spec.base_url,
            timeout=spec.timeout_s,
            max_retries=0,
            http_client=http,
        )

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
    ) -> Reply:
        """Ask once for an answer of a JSON Schema, in at most `most_tokens`. Where the server does
        not take the form of asking, the next one is taken from then on.

        Raises RequestFailedError, and ConfigError where only a person can help.
        """
        while True:
            form = self._forms[0]
            try:
                return await self._ask(messages, schema, form, most_tokens)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if form is not self._forms[0]:
                    continue  # another request has found it out already
                if len(self._forms) == 1:
                    raise RequestFailedError(Cause.REFUSED, status=error.status_code) from None
                del self._forms[0]
            except RequestFailedError as failure:
                # Some servers, like that of llama-cpp-python, have 500 for a form unknown to them.
                if failure.cause is Cause.SERVER_ERROR and form is self._forms[0]:
                    self._doubt()
                raise

    def _doubt(self) -> None:
        """A server error: of two in a row while nothing was answered yet, the form may be the
        cause."""
        self._errors += 1
        if not self._is_proven and self._errors >= _DOUBTS:
            self._errors = 0
            self._forms = self._forms[1:] or list(self._all_forms)

    async def _ask(
        self,
        messages: Sequence[dict[str, str]],
        schema: dict[str, Any],
        form: Form,
        most_tokens: int,
    ) -> Reply:
        began_s = time.monotonic()
        options: dict[str, Any] = _form_options(form, schema)
        if self.spec.temperature is not None:
            options["temperature"] = self.spec.temperature
        try:
            # The SDK's time-out starts anew with each byte; this one does not.
            async with asyncio.timeout(self.spec.timeout_s):
                answer = await self._client.chat.completions.create(
                    model=self.spec.model,
                    messages=messages,  # type: ignore[arg-type]  # plain dicts of its shape
                    max_tokens=most_tokens,
                    **options,
                )
        except (openai.BadRequestError, openai.UnprocessableEntityError):
            raise
        except Exception as error:  # a torn body fails with errors of any type
            raise self._translated(error) from None
        self._forms, self._is_proven = [form], True
        return _reply(answer, time.monotonic() - began_s)

    def _translated(self, error: Exception) -> StreamFilterError:
        if isinstance(error, openai.RateLimitError):
            after_s = _retry_after_s(error.response.headers.get("retry-after"))
            return RequestFailedError(Cause.TOO_MANY, status=429, retry_after_s=after_s)
        if isinstance(error, openai.APIStatusError):
            status = error.status_code
            if status in {401, 403, 404, 407}:
                what = {404: f"knows no model {self.spec.model!r} at this address"}.get(
                    status, "refuses the key"
                )
                return ConfigError(
                    f"endpoint {self.spec.judge}: {self.spec.base_url} {what} ({status}): correct "
                    "base_url, model or key"
                )
            after_s = _retry_after_s(error.response.headers.get("retry-after"))
            cause = Cause.SERVER_ERROR if status >= 500 or status in {408, 409} else Cause.REFUSED
            return RequestFailedError(cause, status=status, retry_after_s=after_s)
        if isinstance(error, openai.APITimeoutError | TimeoutError):
            return RequestFailedError(Cause.TIMEOUT, may_cost=True)
        if isinstance(error, openai.APIConnectionError):
            return RequestFailedError(Cause.UNREACHABLE, may_cost=True)
        # A body that is no answer: torn, or not of this protocol.
        return RequestFailedError(Cause.UNREACHABLE, may_cost=True)


def _form_options(form: Form, schema: dict[str, Any]) -> dict[str, Any]:
    if form is Form.JSON_SCHEMA:
        named = {"name": _FUNCTION, "schema": schema, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    if form is Form.TOOL:
        function = {"name": _FUNCTION, "description": "Gives the answer.", "parameters": schema}
        choice = {"type": "function", "function": {"name": _FUNCTION}}
        return {"tools": [{"type": "function", "function": function}], "tool_choice": choice}
    return {"response_format": {"type": "json_object"}}


def _reply(answer: Any, seconds: float) -> Reply:
    """Raises RequestFailedError for what is no chat completion."""
    choices = getattr(answer, "choices", None)
    if not choices or getattr(choices[0], "message", None) is None:
        raise RequestFailedError(Cause.SERVER_ERROR, may_cost=True)
    message, finish = choices[0].message, choices[0].finish_reason
    content = message.content
    if message.tool_calls:
        content = getattr(getattr(message.tool_calls[0], "function", None), "arguments", None)
    usage = answer.usage
    return Reply(
        content=content,
        is_whole=finish != "length",
        is_refusal=finish == "content_filter" or bool(getattr(message, "refusal", None)),
        answer_id=str(answer.id or "")[:100],
        input_tokens=int(usage.prompt_tokens or 0) if usage else 0,
        output_tokens=int(usage.completion_tokens or 0) if usage else 0,
        seconds=seconds,
    )


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
