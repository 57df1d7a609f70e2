"""Results of cases as JUnit XML: the subset that Jenkins' schema (junit-10.xsd) allows and that
GitLab and GitHub's reporters read."""

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from stream_filter.app.case_run import CaseResult
from stream_filter.core.errors import ConfigError

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(path: Path, suite: str, results: Sequence[tuple[CaseResult, str]]) -> None:
    """Write `junit_xml` to a file. Raises ConfigError."""
    try:
        path.write_bytes(junit_xml(suite, results))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}: check the path") from error


def junit_xml(suite: str, results: Sequence[tuple[CaseResult, str]]) -> bytes:
    """One suite, UTF-8, each case below its topic. `results`: with what is said of a case that
    failed."""
    failed = sum(not result.holds for result, _ in results)
    counts = {
        "name": _legal(suite),
        "tests": str(len(results)),
        "failures": str(failed),
        "errors": "0",
        "time": f"{sum(result.seconds for result, _ in results):.3f}",
    }
    root = ElementTree.Element("testsuites", counts)
    parent = ElementTree.SubElement(root, "testsuite", {**counts, "skipped": "0"})
    for result, said in results:
        case = ElementTree.SubElement(
            parent,
            "testcase",
            {
                "classname": _legal(result.case.topic),
                "name": _legal(result.case.name),
                "time": f"{result.seconds:.3f}",
            },
        )
        if not result.holds:
            message = "; ".join(
                f"{m.what}: expected {m.expected}, got {'none' if m.got is None else m.got}"
                for m in result.mismatches
            )
            failure = ElementTree.SubElement(
                case, "failure", {"type": "expectation", "message": _legal(message)}
            )
            failure.text = _legal(f"{result.case.place}\n{said}")
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _legal(text: str) -> str:
    """XML cannot hold control characters, not even escaped."""
    return _NOT_XML.sub("\ufffd", text)
