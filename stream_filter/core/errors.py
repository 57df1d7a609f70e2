"""Every error that leaves a house of stream-filter.

StreamFilterError
├── ConfigError               a person must change a file, a flag or the cluster; exit code 2
│   ├── PackError             a model pack is missing, damaged or of another kind
│   └── ExpressionError       a rule's condition cannot be used; knows line and column
├── ScorerError               no score for these texts now; the gate forwards them as `degraded`
├── BrokerError               Kafka said no; `retriable` says whether trying again can help
│   └── FencedError           another worker owns the partition now
└── DeadLetterLimitError      too much of a topic cannot be decoded; the worker stops

Vendors' errors are translated where their library is called and appear nowhere else.
"""


class StreamFilterError(Exception):
    """Base of all of them. `retriable`: whether the same call may succeed later."""

    retriable = False


class ConfigError(StreamFilterError):
    """What is wrong, where (file, line, key) and the way out: one line a problem."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class PackError(ConfigError):
    """A model pack cannot be used. One line: the pack, the file, what is wrong, the way out."""

    def __init__(self, *, pack: str, file: str, problem: str, way_out: str) -> None:
        super().__init__(f"model pack {pack!r}, {file}: {problem}; {way_out}")


class ExpressionError(ConfigError):
    """A rule's condition cannot be used. `line`, `column`: the place in it, from 1."""

    def __init__(
        self, problem: str, expression: str, at: int, *, way_out: str | None = None
    ) -> None:
        """`at`: characters from the start of the expression."""
        before = expression[:at]
        self.line = before.count("\n") + 1
        self.column = at - (before.rfind("\n") + 1) + 1
        place = f"line {self.line}, column {self.column}"
        if "\n" not in expression.strip("\n"):
            place = f"column {self.column}"
        super().__init__(f"{place}: {problem}" + (f": {way_out}" if way_out else ""))


class ScorerError(StreamFilterError):
    """The model gave no score. The gate fails open and asks again with the next batch."""

    retriable = True


class BrokerError(StreamFilterError):
    """Kafka refused or did not answer."""

    def __init__(self, message: str, *, retriable: bool) -> None:
        super().__init__(message)
        self.retriable = retriable


class FencedError(BrokerError):
    """A newer owner of the partition has started: this worker's unit of work is void."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retriable=True)


class DeadLetterLimitError(StreamFilterError):
    """More records cannot be decoded than the limit allows: probably a bad deploy."""
