"""Whom the demo's analyst asks, the stand-in or a real endpoint, and his config for it."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stream_filter.analyst.config_model import AnalystModel
from stream_filter.analyst.prompt import Prompt
from stream_filter.analyst.token_counts import ByLength
from stream_filter.demo.bill import Price, Reading, reading_of
from stream_filter.demo.generator import GeneratedEvent
from stream_filter.demo.truth import OUTAGE_ROOT, is_important
from stream_filter.testing.broker_process import HOST, free_port
from stream_filter.testing.stand_in import StandIn
from stream_filter.testing.stand_in_behaviour import Behaviour

KEY_VARIABLE = "OPENAI_API_KEY"
_CONFIG_FILE = Path(__file__).with_name("analyst.yaml")
_LATENCY_S = 0.2
# It costs nothing and is quick, so it reads each text for itself: what differs in a number only may
# differ in importance too.
_STAND_IN_LIMITS = {"concurrency": 8}
_STAND_IN_BATCH = {"events": 100, "linger_ms": 100}
_STAND_IN_TOPIC = {"fold": "exact"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """What the user asked for."""

    endpoint: str | None
    """A real one's base URL; None is the stand-in."""
    model: str
    price: Price
    error_rate: float
    """Share of the texts that the stand-in judges wrongly."""


class LanguageModel:
    """One of the two."""

    def __init__(
        self, options: ModelOptions, environment: Mapping[str, str], *, seconds: float
    ) -> None:
        """`seconds`: of the storyline."""
        self._options = options
        self._seconds = seconds
        self._has_key = bool(environment.get(KEY_VARIABLE)) and options.endpoint is not None
        self._port = free_port()

    @property
    def name(self) -> str:
        """Of the judge."""
        return self._options.model

    @property
    def is_stand_in(self) -> bool:
        return self._options.endpoint is None

    def running(self) -> AbstractAsyncContextManager[object]:
        """Where it is the stand-in, it answers while this is entered."""
        if not self.is_stand_in:
            return nullcontext()
        behaviour = Behaviour(error_rate=self._options.error_rate, latency_s=_LATENCY_S)
        stand_in = StandIn(is_important, behaviour, port=self._port)
        stand_in.root = OUTAGE_ROOT
        return stand_in

    def config(self, prefix: str) -> dict[str, Any]:
        """The analyst's config, its topic with a prefix."""
        given: dict[str, Any] = yaml.safe_load(_CONFIG_FILE.read_text())
        ((topic, question),) = given["topics"].items()
        price = self._options.price
        endpoint: dict[str, Any] = {
            "base_url": self._options.endpoint or f"http://{HOST}:{self._port}/v1",
            "model": self._options.model,
            "price": {"input": price.input, "output": price.output},
        }
        if self._has_key:
            endpoint["key"] = {"env": KEY_VARIABLE}
        if self.is_stand_in:
            given |= {"limits": _STAND_IN_LIMITS, "batch": _STAND_IN_BATCH}
            question = {**question, **_STAND_IN_TOPIC}
        given["outage"] |= _outage_times(self._seconds)
        return {**given, "endpoint": endpoint, "topics": {prefix + topic: question}}

    def reading(self, events: Sequence[GeneratedEvent]) -> Reading:
        """What it takes to read an event like these."""
        config = AnalystModel.model_validate(self.config(""))
        (question,) = config.topics.values()
        prompt = Prompt(
            task=question.task,
            template=question.event,
            redactions=(),
            counter=ByLength(),
            max_event_tokens=question.max_event_tokens,
            fold="off",
        )
        values = [event.value for event in events]
        return reading_of(prompt, values, in_a_prompt=config.batch.events)

    def environment(self, ours: Mapping[str, str]) -> dict[str, str]:
        """Of the analyst's process: a proxy is not asked about the stand-in."""
        if not self.is_stand_in:
            return dict(ours)
        return {**ours, "NO_PROXY": ",".join(filter(None, (ours.get("NO_PROXY"), HOST)))}


def _outage_times(seconds: float) -> dict[str, str]:
    """An hour of a real stream is half of the demo."""
    window_s = max(1, round(seconds / 10))
    return {
        "window": f"{window_s}s",
        "baseline": f"{4 * window_s}s",
        "every": "1s",
        "quiet": f"{max(1, round(seconds / 8))}s",
        "ask_every": f"{max(1, round(seconds / 3))}s",
    }
