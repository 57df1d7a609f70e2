"""Orders: which count, what a rollback goes back to, and how far one has come."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from stream_filter.core.orders import (
    LIVE_WITHIN_MS,
    SILENT_WITHIN_MS,
    Action,
    Order,
    Report,
    before,
    counting,
    is_paused,
    reach,
)

ORDER = Order(
    group="g",
    sequence=1,
    action=Action.PUSH,
    by="ann",
    at_ms=0,
    policy_id="0" * 16,
    policy_text="a",
    paused=(),
    note="",
)
REPORT = Report(
    group="g",
    worker="w",
    sequence=0,
    policy_id="",
    paused=(),
    since_ms=0,
    refused_sequence=0,
    refused_because="",
    is_leaving=False,
    heard_ms=100_000,
)
NOW = 100_000
logs = st.lists(
    st.builds(
        lambda sequence, by: replace(ORDER, sequence=sequence, by=by),
        st.integers(1, 8),
        st.sampled_from("abc"),
    )
)


def policies(texts: str) -> list[Order]:
    """Orders whose policies are these letters."""
    return [replace(ORDER, sequence=n, policy_text=text) for n, text in enumerate(texts, 1)]


@given(logs)
def test_orders_that_count_rise_and_each_is_the_first_of_its_sequence(log: list[Order]) -> None:
    """Whoever reads the log agrees on the order in force, however two gave theirs at once."""
    kept = counting(log)
    assert [o.sequence for o in kept] == sorted({o.sequence for o in kept})
    for order in kept:
        assert order is next(o for o in log if o.sequence == order.sequence)
    assert (kept[-1].sequence if kept else 0) == max((o.sequence for o in log), default=0)


@given(logs, st.integers(0, 20))
def test_who_reads_later_agrees_with_who_read_earlier(log: list[Order], cut: int) -> None:
    """What counted when the log was shorter counts for good."""
    earlier = counting(log[:cut])
    assert counting(log)[: len(earlier)] == earlier


def test_a_rollback_goes_back_to_the_policy_before_and_a_second_undoes_it() -> None:
    """Pauses and pushes of the same policy lie between and do not matter."""
    orders = policies("aabb")
    back = before(orders)
    assert back is orders[1]
    again = before([*orders, replace(back, sequence=5)])
    assert again is orders[3]
    assert before(policies("aa")) is None


def test_pauses_are_by_name_or_by_glob() -> None:
    """A paused entry covers what it covers in a policy."""
    assert is_paused("pay.logs", ("pay.*",))
    assert is_paused("pay.*", ("pay.*",))
    assert not is_paused("pay.logs", ("pay",))
    assert not is_paused("pay.logs", ())


def test_an_order_is_through_when_every_live_worker_has_it() -> None:
    """Silent and leaving workers are not waited for; refusals are named with their cause."""
    order = replace(ORDER, sequence=3)
    reports = {
        "has": replace(REPORT, sequence=3),
        "later": replace(REPORT, sequence=4),
        "not-yet": replace(REPORT, sequence=2),
        "cannot": replace(REPORT, sequence=2, refused_sequence=3, refused_because="no pack"),
        "forgotten": replace(REPORT, heard_ms=NOW - SILENT_WITHIN_MS - 1),
        "silent": replace(REPORT, heard_ms=NOW - LIVE_WITHIN_MS - 1),
        "leaving": replace(REPORT, is_leaving=True),
    }
    found = reach(order, reports, NOW)
    assert found.in_force == ("has", "later")
    assert found.refused == {"cannot": "no pack"}
    assert found.waiting == ("not-yet",)
    assert found.silent == ("silent",)
    assert not found.is_complete
    del reports["not-yet"], reports["cannot"]
    assert reach(order, reports, NOW).is_complete


def test_a_pause_is_in_force_where_the_policy_beside_it_is_refused() -> None:
    """The red button works also after a bad push."""
    order = replace(ORDER, sequence=3, action=Action.PAUSE, paused=("t",))
    cannot = replace(REPORT, sequence=1, refused_sequence=3, refused_because="no pack")
    assert reach(order, {"w": replace(cannot, paused=("t",))}, NOW).in_force == ("w",)
    assert reach(order, {"w": cannot}, NOW).refused == {"w": "no pack"}
