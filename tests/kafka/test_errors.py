"""The door through which aiokafka's errors come: its map is complete."""

import asyncio
import inspect

import pytest
from aiokafka import errors as kafka

from stream_filter.core.errors import (
    BrokerError,
    ConfigError,
    FencedError,
    ScorerError,
    StreamFilterError,
)
from stream_filter.kafka.errors import translate, translated

VENDOR: list[type[Exception]] = sorted(
    {
        error
        for _, error in inspect.getmembers(kafka, inspect.isclass)
        if issubclass(error, Exception)
        and error.__module__.startswith("aiokafka")
        and error is not kafka.BrokerResponseError  # abstract: it has no errno, and cannot print
    },
    key=lambda error: error.__name__,
)
FENCED = {
    "ProducerFenced", "InvalidProducerEpoch", "InvalidProducerIdMapping", "IllegalGenerationError",
    "UnknownMemberIdError", "RebalanceInProgressError", "CommitFailedError", "IllegalStateError",
}  # fmt: skip
FORBIDDEN = {
    "AuthenticationFailedError", "SaslAuthenticationFailed", "TopicAuthorizationFailedError",
    "GroupAuthorizationFailedError", "ClusterAuthorizationFailedError",
    "TransactionalIdAuthorizationFailed", "UnsupportedSaslMechanismError", "IllegalSaslStateError",
    "AuthenticationMethodNotSupported", "DelegationTokenAuthorizationFailed", "SecurityDisabled",
}  # fmt: skip
FINAL = {
    "MessageSizeTooLargeError", "RecordListTooLargeError", "IncompatibleBrokerVersion",
    "UnsupportedVersionError", "InvalidTopicError", "InvalidRequiredAcksError",
    "RecordTooLargeError", "UnsupportedCodecError", "UnsupportedForMessageFormatError",
    "UnrecognizedBrokerVersion", "InvalidConfigurationError", "InvalidGroupIdError",
    "InvalidSessionTimeoutError", "InvalidTransactionTimeout", "InconsistentGroupProtocolError",
    "PolicyViolationError",
}  # fmt: skip


def an(error: type[Exception]) -> Exception:
    """An error of this class, whatever its constructor takes."""
    made = error.__new__(error)
    Exception.__init__(made, "said by the broker")
    return made


def test_there_are_errors_to_map() -> None:
    """aiokafka's classes are found, and those that the lists name are among them."""
    names = {error.__name__ for error in VENDOR}
    assert len(names) > 80
    assert names >= FENCED | FORBIDDEN | FINAL


@pytest.mark.parametrize("error", VENDOR, ids=lambda error: error.__name__)
def test_every_error_is_translated(error: type[Exception]) -> None:
    """Each of aiokafka's errors leaves the door as ours, in one line that says what was done."""
    ours = translate(an(error), "committing")
    assert isinstance(ours, StreamFilterError)
    assert str(ours).startswith("committing: ")
    assert "\n" not in str(ours)
    name = error.__name__
    if name in FENCED:
        assert isinstance(ours, FencedError)
        assert ours.retriable
    elif name in FORBIDDEN:
        assert isinstance(ours, ConfigError)
        assert not ours.retriable
    else:
        assert isinstance(ours, BrokerError)
        assert not isinstance(ours, FencedError)
        assert ours.retriable is (name not in FINAL)


@pytest.mark.parametrize(
    "error",
    [error for error in VENDOR if getattr(error, "retriable", False)],
    ids=lambda error: error.__name__,
)
def test_what_aiokafka_retries_is_retriable(error: type[Exception]) -> None:
    """What aiokafka itself says may succeed later is retriable here."""
    assert translate(an(error), "sending").retriable


@pytest.mark.parametrize("error", VENDOR, ids=lambda error: error.__name__)
def test_nothing_of_aiokafka_passes_the_door(error: type[Exception]) -> None:
    """Within the door, every error of aiokafka comes out as ours, and remembers its cause."""
    raised = an(error)
    with pytest.raises(StreamFilterError) as caught, translated("polling"):
        raise raised
    assert caught.value.__cause__ is raised


@pytest.mark.parametrize(
    "error",
    [OSError(111, "refused"), ConnectionResetError(), TimeoutError(), asyncio.TimeoutError()],
    ids=lambda error: type(error).__name__,
)
def test_network_errors_are_retriable(error: Exception) -> None:
    """What the network does may be over the next time, and is never without words."""
    with pytest.raises(BrokerError) as caught, translated("connecting"):
        raise error
    assert caught.value.retriable
    assert len(str(caught.value)) > len("connecting: ")


@pytest.mark.parametrize("code", [-1, 3, 10, 29, 47, 85, 999])
def test_codes_of_responses(code: int) -> None:
    """A code in a broker's response, also one that aiokafka does not know, is translated."""
    assert isinstance(translate(kafka.for_code(code)(), "creating"), StreamFilterError)


def test_our_own_errors_pass() -> None:
    """An error that is ours already stays what it is."""
    ours = ScorerError("away")
    assert translate(ours, "x") is ours


async def test_cancelling_passes() -> None:
    """A cancelled task is cancelled, not failed."""
    with pytest.raises(asyncio.CancelledError), translated("waiting"):
        raise asyncio.CancelledError


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("a bug")])
def test_bugs_pass(error: Exception) -> None:
    """What is neither Kafka's nor the network's fault is not disguised as theirs."""
    with pytest.raises(type(error)), translated("sending"):
        raise error
