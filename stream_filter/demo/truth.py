"""What the generator knows, asked by text: for a model that sees an event and nothing else."""

import re
from functools import cache

from stream_filter.demo.platform import TEMPLATES, Template

OUTAGE_ROOT = "payments"
"""Whose deploy goes wrong."""
_SLOT_PATTERNS = {"pct_bad": "9[89]|100", "lag_bad": r"\d{7}"}
"""The slots by whose number alone an important line differs from a routine one."""


def is_important(text: str) -> bool:
    """The truth about an event that is shown as `service level message`. False for what no template
    makes."""
    service, _, rest = text.partition(" ")
    level, _, message = rest.partition(" ")
    return any(p.fullmatch(message) for p in _important().get((service, level), ()))


@cache
def _important() -> dict[tuple[str, str], list[re.Pattern[str]]]:
    found: dict[tuple[str, str], list[re.Pattern[str]]] = {}
    for template in (t for templates in TEMPLATES.values() for t in templates if t.important):
        found.setdefault((template.service, template.level), []).append(_pattern(template))
    return found


def _pattern(template: Template) -> re.Pattern[str]:
    slots = (f"(?:{_SLOT_PATTERNS.get(slot, '.+')})" for slot in template.slots)
    literal = re.escape(template.text.replace("%%", "%")).split("%s")
    return re.compile("".join(part + next(slots, "") for part in literal))
