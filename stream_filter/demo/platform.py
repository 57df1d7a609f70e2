"""The demo's make-believe web shop: its services, its log templates and what fills their slots.

The truth about a template (does it matter to an analyst?) is known here and
appears in no event: neither the level nor any other field of an event says it.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal
from zlib import crc32

from stream_filter.demo.failures import CASCADE, DEPLOY, IMPORTANT, UNSEEN
from stream_filter.demo.routine import NOISE, ROUTINE

Family = Literal["routine", "noise", "important", "deploy", "cascade", "unseen"]

SERVICES: Final = (
    "gateway", "checkout", "payments", "auth", "search", "inventory", "catalog",
    "shipping", "notifier", "recommender", "scheduler", "orders-db", "queue", "session-cache",
)  # fmt: skip

POOL_SIZE: Final = 1024
"""Values in each slot's pool: a power of two, so that an index can be cut with a mask."""

_SLOT = re.compile(r"\{([a-z_0-9]+)\}")

_PATHS = ("/", "/cart", "/checkout", "/orders", "/search", "/login", "/account", "/api/prices")
_JOBS = ("price-sync", "stock-sync", "orders-backup", "invoice-run", "session-purge")
_WORDS = (
    "lamp", "desk", "chair", "kettle", "bicycle", "tent", "jacket", "boots", "novel", "puzzle",
    "guitar", "camera",
)  # fmt: skip


def _hex(rng: random.Random) -> str:
    return f"{rng.getrandbits(64):016x}"


def _ip(rng: random.Random) -> str:
    return f"10.{rng.randrange(64)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"


def _span(low: int, high: int, shape: str = "{}") -> Callable[[random.Random], str]:
    return lambda rng: shape.format(rng.randint(low, high))


def _amount(rng: random.Random) -> str:
    return f"{rng.lognormvariate(3.6, 0.8):.2f}"


def _latency(rng: random.Random) -> str:
    return str(1 + int(rng.lognormvariate(3.2, 0.9)))


def _one_of(*values: str) -> Callable[[random.Random], str]:
    return lambda rng: rng.choice(values)


SLOTS: Final[Mapping[str, Callable[[random.Random], str]]] = MappingProxyType({
    "amount": _amount,
    "bytes": _span(180, 64_000),
    "carrier": _one_of("dhl", "ups", "postnord", "dpd"),
    "cart": _span(100_000, 999_999, "cart-{}"),
    "client": _one_of("web-shop", "ios-app", "android-app", "partner-portal", "kiosk"),
    "flag": _one_of("new-basket", "fast-quotes", "dark-theme"),
    "group": _one_of("billing", "analytics", "mailer"),
    "hex": _hex,
    "host": _span(1, 24, "node-{}"),
    "ip": _ip,
    "job": _one_of(*_JOBS),
    "lag_bad": _span(2_000_000, 9_000_000),
    "lag_ok": _span(200, 9_000),
    "method": _one_of("GET", "GET", "GET", "POST", "PUT"),
    "ms": _latency,
    "n": _span(2, 64),
    "order": _span(1_000_000, 9_999_999, "ORD-{}"),
    "parcel": _span(10**9, 10**10 - 1, "P{}"),
    "path": _one_of(*_PATHS),
    "payment": _span(10**7, 10**8 - 1, "pay-{}"),
    "pct_bad": _span(98, 100),
    "pct_high": _span(75, 88),
    "pct_ok": _span(20, 74),
    "port": _span(1024, 65_535),
    "provider": _one_of("adyen", "stripe", "klarna"),
    "region": _one_of("eu-west-1", "eu-north-1", "us-east-1"),
    "service": _one_of(*SERVICES),
    "sku": _span(10_000, 99_999, "SKU-{}"),
    "slow": _span(900, 4_800),
    "status_ok": _one_of("200", "200", "200", "201", "204", "304"),
    "user": _span(10_000, 99_999, "u-{}"),
    "word": _one_of(*_WORDS),
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One kind of log line. `text` holds `%s` where `slots`, in order, go."""

    kind: str
    family: Family
    service: str
    level: str
    text: str
    slots: tuple[str, ...]
    names: str | None
    """Another service that stands in the text itself."""
    weight: float

    @property
    def important(self) -> bool:
        """The truth: an analyst would want to read this line."""
        return self.family not in ("routine", "noise")

    def peer(self, values: Sequence[str]) -> str | None:
        """The other service that the line names, when `values` stand in its slots."""
        if "service" in self.slots:
            return values[self.slots.index("service")]
        return self.names

    def render(self, rng: random.Random) -> str:
        """The message with fresh values from `rng` in its slots."""
        return self.text % tuple(SLOTS[slot](rng) for slot in self.slots)


def _parse(family: Family, table: str) -> tuple[Template, ...]:
    templates = []
    for line in table.strip().splitlines():
        service, level, message = (part.strip() for part in line.split("|", 2))
        words = re.findall(r"[a-z]+", _SLOT.sub(" ", message).lower())
        kind = f"{family}/{service}.{'-'.join(words[:7])}"
        slots = tuple(_SLOT.findall(message))
        unknown = [slot for slot in slots if slot not in SLOTS]
        if unknown:
            raise ValueError(f"template {kind} names unknown slots: {', '.join(unknown)}")
        templates.append(
            Template(
                kind=kind,
                family=family,
                service=service,
                level=level,
                text=_SLOT.sub("%s", message.replace("%", "%%")),
                slots=slots,
                names=next((w for w in words if w in SERVICES and w != service), None),
                weight=_weight(line),
            )
        )
    return tuple(templates)


def _weight(line: str) -> float:
    """A fixed, skewed popularity in [1, 64): some lines are said far more often than others."""
    return float(2 ** (6 * (crc32(line.encode()) % 1024) / 1024))


TEMPLATES: Final[Mapping[Family, tuple[Template, ...]]] = MappingProxyType({
    "routine": _parse("routine", ROUTINE),
    "noise": _parse("noise", NOISE),
    "important": _parse("important", IMPORTANT),
    "deploy": _parse("deploy", DEPLOY),
    "cascade": _parse("cascade", CASCADE),
    "unseen": _parse("unseen", UNSEEN),
})  # fmt: skip

LEARNABLE: Final[tuple[Template, ...]] = tuple(
    template
    for family, templates in TEMPLATES.items()
    if family != "unseen"
    for template in templates
)
"""What a model may be trained on: every template but the failures kept unseen."""
