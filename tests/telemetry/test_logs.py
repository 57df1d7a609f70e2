"""What of the libraries' lines reaches the log."""

import logging

from stream_filter.telemetry.logs import OnceInAWhile


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def line(name: str, message: str, *args: object, exc_info: object = None) -> logging.LogRecord:
    return logging.LogRecord(name, logging.WARNING, "", 0, message, args, exc_info)  # type: ignore[arg-type]


def test_a_library_repeats_itself_in_vain() -> None:
    """A library's line is said once in ten seconds; the next time it says how often it came."""
    clock = Clock()
    once = OnceInAWhile(10.0, clock=clock)
    assert once.filter(line("aiokafka.client", "cannot connect to %s", 1))
    for _ in range(400):
        assert not once.filter(line("aiokafka.client", "cannot connect to %s", 1))
    clock.now = 10.0
    again = line("aiokafka.client", "cannot connect to %s", 1)
    assert once.filter(again)
    assert again.getMessage() == "cannot connect to 1 (400 times more)"


def test_what_is_new_is_said() -> None:
    """Another node, another logger, an exception and our own lines are never held back."""
    once = OnceInAWhile(10.0, clock=Clock())
    for _ in range(2):
        assert once.filter(line("stream_filter.kafka", "unit.failed"))
        assert once.filter(line("aiokafka", "crashed", exc_info=(ValueError, ValueError(), None)))
    assert once.filter(line("aiokafka", "cannot connect to %s", 1))
    assert once.filter(line("aiokafka", "cannot connect to %s", 2))
    assert once.filter(line("faust", "cannot connect to %s", 1))


def test_lines_without_end_take_bounded_memory() -> None:
    """A library that never says the same twice fills no memory."""
    once = OnceInAWhile(10.0, clock=Clock())
    assert all(once.filter(line("aiokafka", f"offset {n}")) for n in range(5000))
    assert len(once._said) <= 1000
