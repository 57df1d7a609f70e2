"""The one door through which aiokafka's errors become stream-filter's."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka import errors as kafka

from stream_filter.core.errors import BrokerError, ConfigError, FencedError, StreamFilterError

_FENCED = (
    kafka.ProducerFenced,
    kafka.InvalidProducerEpoch,
    kafka.InvalidProducerIdMapping,
    kafka.IllegalGenerationError,
    kafka.UnknownMemberIdError,
    kafka.RebalanceInProgressError,
    kafka.CommitFailedError,
    kafka.IllegalStateError,
)
"""Another worker, or a later life of this one, owns the partition."""

_FORBIDDEN = (
    kafka.AuthenticationFailedError,
    kafka.SaslAuthenticationFailed,
    kafka.TopicAuthorizationFailedError,
    kafka.GroupAuthorizationFailedError,
    kafka.ClusterAuthorizationFailedError,
    kafka.TransactionalIdAuthorizationFailed,
    kafka.UnsupportedSaslMechanismError,
    kafka.IllegalSaslStateError,
    kafka.AuthenticationMethodNotSupported,
    kafka.DelegationTokenAuthorizationFailed,
    kafka.SecurityDisabled,
)
"""Only a person with the cluster's keys can help."""

_FINAL = (
    kafka.MessageSizeTooLargeError,
    kafka.RecordListTooLargeError,
    kafka.IncompatibleBrokerVersion,
    kafka.UnsupportedVersionError,
    kafka.InvalidTopicError,
    kafka.InvalidRequiredAcksError,
    kafka.RecordTooLargeError,
    kafka.UnsupportedCodecError,
    kafka.UnsupportedForMessageFormatError,
    kafka.UnrecognizedBrokerVersion,
    kafka.InvalidConfigurationError,
    kafka.InvalidGroupIdError,
    kafka.InvalidSessionTimeoutError,
    kafka.InvalidTransactionTimeout,
    kafka.InconsistentGroupProtocolError,
    kafka.PolicyViolationError,
)
"""The same call fails again, whenever it is made."""

_VENDORS = (
    kafka.KafkaError,
    kafka.ConsumerStoppedError,  # these two are no KafkaErrors
    kafka.IllegalOperation,
    OSError,
    asyncio.TimeoutError,
    AssertionError,
)


def translate(error: BaseException, doing: str) -> StreamFilterError:
    """What an error of aiokafka means to us. Never raises.

    What is unknown is taken as retriable: the unit of work is void either way and is taken up
    again from the committed offset, so trying again can repeat work but never lose any.
    """
    said = str(error) or (
        "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    )
    if isinstance(error, StreamFilterError):
        return error
    if isinstance(error, _FENCED):
        return FencedError(f"{doing}: {said}")
    if isinstance(error, _FORBIDDEN):
        return ConfigError(
            f"{doing}: the broker refuses ({said}): grant the right or correct the credentials"
        )
    if isinstance(error, _FINAL):
        return BrokerError(f"{doing}: {said}", retriable=False)
    return BrokerError(f"{doing}: {said}", retriable=True)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raises what `translate` makes of aiokafka's and the socket's errors."""
    try:
        yield
    except _VENDORS as error:
        raise translate(error, doing) from error
