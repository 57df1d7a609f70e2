"""JUnit XML that CI systems read."""

import re
from pathlib import Path
from types import MappingProxyType
from xml.etree import ElementTree

import pytest

from stream_filter.app.case_file import Case
from stream_filter.app.case_run import CaseResult, Mismatch
from stream_filter.app.junit import junit_xml, write_junit
from stream_filter.app.policy_file import load_policy
from stream_filter.app.rehearsal import RehearsedRecord
from stream_filter.core.errors import ConfigError

ALLOWED = {
    # Elements and attributes that Jenkins' junit-10.xsd allows; its required ones.
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, set()),
    "testsuite": (
        {"name", "tests", "failures", "errors", "time", "skipped", "timestamp"},
        {"name", "tests", "failures", "errors"},
    ),
    "testcase": ({"name", "time", "classname"}, {"name"}),
    "failure": ({"type", "message"}, set()),
}


@pytest.fixture
def results(tmp_path: Path, good_policy: str) -> list[tuple[CaseResult, str]]:
    """One case that holds and one, with a hostile name, that does not."""
    path = tmp_path / "policy.yaml"
    path.write_text(good_policy)
    (rules,) = load_policy(path).topics

    def result(name: str, *mismatches: Mismatch) -> CaseResult:
        case = Case(
            name=name,
            place="cases.yaml:3",
            topic="payments.logs",
            record=RehearsedRecord(offset=0),
            repeat=1,
            expected={"verdict": "keep"},
        )
        return CaseResult(
            case=case,
            rules=rules,
            got=MappingProxyType({}),
            cause=None,
            mismatches=mismatches,
            seconds=1.5,
        )

    wrong = Mismatch(what="score", expected="0.5 to 1", got=None)
    return [(result("good"), ""), (result('<&"\x1b\x00\ud800é]]>', wrong), "said <\x07>")]


def test_only_what_the_schema_allows(results: list[tuple[CaseResult, str]]) -> None:
    """Elements and attributes are those of junit-10.xsd, the required ones are there."""
    root = ElementTree.fromstring(junit_xml("cases.yaml", results))
    for element in root.iter():
        allowed, required = ALLOWED[element.tag]
        assert required <= set(element.attrib) <= allowed
        for name in ("time",) if "time" in element.attrib else ():
            assert re.fullmatch(r"[0-9]{0,3}\.[0-9]*", element.attrib[name])
    assert [child.tag for child in root] == ["testsuite"]


def test_counts_and_failures(results: list[tuple[CaseResult, str]]) -> None:
    """Counts add up; a failure says what was expected, what came out and where the case stands."""
    root = ElementTree.fromstring(junit_xml("cases.yaml", results))
    (suite,) = root
    for element in (root, suite):
        assert [element.get(k) for k in ("tests", "failures", "errors")] == ["2", "1", "0"]
        assert element.get("time") == "3.000"
    good, bad = suite
    assert (good.get("name"), good.get("classname"), len(good)) == ("good", "payments.logs", 0)
    (failure,) = bad
    assert failure.get("message") == "score: expected 0.5 to 1, got none"
    assert failure.text == "cases.yaml:3\nsaid <\ufffd>"


def test_hostile_names_are_xml(results: list[tuple[CaseResult, str]]) -> None:
    """Markup is escaped, and characters that XML cannot hold are replaced."""
    (suite,) = ElementTree.fromstring(junit_xml("a\x00b", results))
    assert suite.get("name") == "a\ufffdb"
    assert suite[1].get("name") == '<&"\ufffd\ufffd\ufffdé]]>'


def test_report_that_cannot_be_written(tmp_path: Path) -> None:
    """A report that cannot be written is one line that names it."""
    with pytest.raises(ConfigError, match=r"nowhere/r.xml: cannot be written: No such file"):
        write_junit(tmp_path / "nowhere" / "r.xml", "s", [])
