"""Questions to the ledger: over the store of Parquet files, and the newest minutes of the topic.

    from stream_filter import audit

    with audit.open("/var/lib/stream-filter", bootstrap="localhost:9092") as ledger:
        audit.summarize(ledger, "payments.logs").by("reason")
        ledger.sql("SELECT reason, count(*) FROM decisions GROUP BY reason").df()

The store alone, the topic alone (`audit.open("localhost:9092")`), or both as one view.
"""

from stream_filter.audit.account import WhatIf
from stream_filter.audit.differing import challenged, policies
from stream_filter.audit.explaining import explain
from stream_filter.audit.exporting import labelled
from stream_filter.audit.opening import open_ledger as open  # noqa: A004  reads as audit.open
from stream_filter.audit.proving import prove
from stream_filter.audit.recorded import RecordedLedger
from stream_filter.audit.sampling import Strangeness, sample
from stream_filter.audit.summary import Summary, summarize
from stream_filter.audit.supposing import what_if

__all__ = [
    "RecordedLedger",
    "Strangeness",
    "Summary",
    "WhatIf",
    "challenged",
    "explain",
    "labelled",
    "open",
    "policies",
    "prove",
    "sample",
    "summarize",
    "what_if",
]
