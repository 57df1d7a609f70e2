"""The stand-in knows the truth by the text that it is shown."""

import random
from pathlib import Path

import orjson

from stream_filter.analyst.config import load_analyst
from stream_filter.demo.bill import Price
from stream_filter.demo.generator import PlatformStream
from stream_filter.demo.language_model import LanguageModel, ModelOptions
from stream_filter.demo.platform import TEMPLATES
from stream_filter.demo.truth import is_important


def test_every_line_is_recognised() -> None:
    """What a template makes is known for what it is, whatever stands in its slots, also where
    it differs from another line in nothing but a number."""
    dice = random.Random(5)
    for template in (t for templates in TEMPLATES.values() for t in templates):
        for _ in range(50):
            text = f"{template.service} {template.level} {template.render(dice)}"
            assert is_important(text) is template.important, text


def test_the_analyst_shows_what_truth_can_read(tmp_path: Path) -> None:
    """As the demo's analyst shows events, with his template and his redactions, truth stays what
    the generator says."""
    options = ModelOptions(
        endpoint=None, model="stand-in", price=Price(input=1, output=1), error_rate=0.0
    )
    config = tmp_path / "analyst.yaml"
    config.write_bytes(orjson.dumps(LanguageModel(options, {}, seconds=60).config("")))
    (prompt,) = load_analyst(config).prompts.values()
    stream = PlatformStream(seed=2, start_ms=0, duration_s=60)
    for second in range(60):
        events = stream.events(second, 200)
        for event, shown in zip(events, prompt.show([e.value for e in events]), strict=True):
            assert shown is not None
            assert is_important(shown.text) is event.important, shown.text


def test_what_nobody_makes_is_unimportant() -> None:
    """Any text has an answer."""
    for text in ("", "payments", "payments FATAL", "payments FATAL something else", "\n" * 99):
        assert not is_important(text)
