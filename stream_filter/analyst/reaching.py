"""Whether an endpoint is there, asked before anything depends on it."""

from dataclasses import replace

from stream_filter.analyst.answers import answer_schema
from stream_filter.analyst.endpoint import Endpoint, EndpointSpec, RequestFailedError
from stream_filter.core.errors import ConfigError

_PATIENCE_S = 30.0
_QUESTION = 'Answer with {"verdicts": []}.'


async def check_reachable(spec: EndpointSpec) -> None:
    """Ask one short question. What comes back does not matter, as long as something does.

    Raises ConfigError: nobody answers, or the key or the model is refused.
    """
    async with Endpoint(replace(spec, timeout_s=_PATIENCE_S)) as endpoint:
        try:
            await endpoint.ask(
                [{"role": "user", "content": _QUESTION}],
                answer_schema([], with_reasons=False),
                most_tokens=spec.answer_tokens,
            )
        except RequestFailedError as failure:
            if failure.status is None:
                raise ConfigError(
                    f"endpoint {spec.judge}: nothing that speaks chat completions answers at "
                    f"{spec.base_url} ({failure.cause.value}): check the address, and that it runs"
                ) from None
