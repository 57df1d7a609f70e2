"""Whether an endpoint is there, asked before anything depends on it."""

from dataclasses import replace
from typing import Any

from stream_filter.analyst.answers import answer_schema
from stream_filter.analyst.endpoint import Endpoint, EndpointSpec, RequestFailedError, refusal
from stream_filter.core.errors import ConfigError

PROBE: list[dict[str, str]] = [{"role": "user", "content": 'Answer with {"verdicts": []}.'}]
"""A question that nobody can object to."""
PROBE_SCHEMA: dict[str, Any] = answer_schema(["none"], with_reasons=False)
_PATIENCE_S = 30.0


async def check_reachable(spec: EndpointSpec) -> None:
    """Ask one short question. What comes back does not matter, as long as something does.

    Raises ConfigError: nobody answers, or the key or the model is refused.
    """
    async with Endpoint(replace(spec, timeout_s=_PATIENCE_S)) as endpoint:
        try:
            await endpoint.ask(PROBE, PROBE_SCHEMA, most_tokens=spec.answer_tokens, refused=set())
        except RequestFailedError as failure:
            if failure.status == 403:
                raise refusal(spec, 403) from None
            if failure.status is None:
                raise ConfigError(
                    f"endpoint {spec.judge}: nothing that speaks chat completions answers at "
                    f"{spec.address} ({failure.cause.value}): check the address, and that it runs"
                ) from None
