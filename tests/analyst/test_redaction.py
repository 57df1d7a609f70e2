"""What must not leave the house does not, in whatever it is wrapped."""

import pytest

from stream_filter.analyst.redaction import KNOWN, Redaction, redact

S = "hunter2-hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f'{{"password":"ab\\"{S}"}}',
        f'{{"msg":"{{\\"password\\": \\"a b {S}\\", \\"x\\": 1}}"}}',
        f'{{"msg":"{{\\\\\\"password\\\\\\": \\\\\\"{S}\\\\\\"}}"}}',
        f"{{'password': 'it\\'s {S}'}}",
        f'{{"password":"one\n{S}"}}',
        f'"password":["{S}"]',
        f"Authorization: Basic {S}",
        f"authorization: digest {S}",
        f"aws_secret_access_key={S}",
        f"AccountKey={S};",
        f'"secretKey" : "{S}"',
        f"x-api-key: {S}",
        f"?client_secret={S}&a=b",
        f"password%3D{S}",
        f'password => "{S}"',
        f"<password>{S}</password>",
        f"mysql --user a --password {S}",
        f"postgres://app:{S}@db/orders",
        f"redis://:{S}@cache",
        f"-----BEGIN RSA PRIVATE KEY-----\n{S}\n-----END RSA PRIVATE KEY-----",
        f'password: "{S}',
    ],
)
def test_a_secret_is_taken_out(text: str) -> None:
    """By its name, in JSON, in JSON in JSON, in headers, addresses and commands."""
    (redacted,) = redact([text], [Redaction(*KNOWN["secret"])])
    assert S not in redacted
    assert "<secret>" in redacted


def test_what_stands_around_it_stays() -> None:
    """The model still sees what happened."""
    text = '{"level":"ERROR","password":"x y","msg":"login of anna at http://h:80/a failed"}'
    assert redact([text], [Redaction(*KNOWN["secret"])]) == [text.replace('"x y"', "<secret>")]
    harmless = ["5 tokens left", "the secret of success", "non-secret data", "std::vector"]
    assert redact(harmless, [Redaction(*each) for each in KNOWN.values()]) == harmless


@pytest.mark.parametrize("address", ["10.0.0.1", "2001:db8::ff00:42:8329", "fe80::1"])
def test_addresses_are_taken_out(address: str) -> None:
    """Also those that are written short."""
    assert redact([f"from {address}."], [Redaction(*KNOWN["ip"])]) == ["from <ip>."]
