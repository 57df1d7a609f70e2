"""What must not leave the house does not, in whatever it is wrapped."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        f"the password is {S}",
        f"Password for anna is: {S}, sent by mail",
        f'{{"msg":"the secret was \\"a {S}\\"","x":1}}',
        f"pwd: x {S}",
        f'{{"msg":"passphrase: correct horse battery {S}","x":1}}',
        f"Cookie: a=b; c={S}",
        f'Cookie: a="b c"; n=O\'Brien; c={S}',
        f"Set-Cookie: id={S}; Expires=Wed, 21 Oct 2026 07:28:00 GMT, more={S}; HttpOnly",
        f'{{"Set-Cookie":["a=b; Path=/","c={S}"]}}',
        f'{{"msg":"{{\\"cookie\\":\\"a=b; c={S}\\"}}"}}',
        f"HTTP_COOKIE=a={S}",
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


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("the password is hunter2, try again", "the password is <secret>, try again"),
        ("pwd: x y\nuser anna", "pwd: <secret>\nuser anna"),
        ("password: x user: anna", "password: <secret> user: anna"),
        ('{"cookie":"a=b; c=d","user":"anna"}', '{"cookie":"<secret>","user":"anna"}'),
        ("curl -H 'Cookie: a=b; c=d' http://h", "curl -H 'Cookie: <secret>' http://h"),
        ("Set-Cookie: a=b; Secure\r\nHost: h", "Set-Cookie: <secret>\r\nHost: h"),
    ],
)
def test_no_more_than_the_secret_is_taken_out(text: str, redacted: str) -> None:
    """It ends where what it stands in does."""
    assert redact([text], [Redaction(*KNOWN["secret"])]) == [redacted]


@pytest.mark.parametrize(
    "text",
    [
        "password is required (at least 12 characters)",
        "The password is invalid!",
        "password is too-short, user anna",
        "the password for root was reset",
        "Failed password for invalid user admin from 10.0.0.1 port 22 ssh2",
        "token is expired(401)",
        "secret is not found: try again",
        '{"msg":"the password is","user":"anna"}',
        "cookie is missing",
        "Cookie: missing",
        "Set-Cookie header missing",
        "invalid cookie: expected name=value",
        "Cookies\\CachePrefix",
    ],
)
def test_what_is_said_of_a_secret_stays(text: str) -> None:
    """That it is required, invalid or missing is what the model must read."""
    assert redact([text], [Redaction(*KNOWN["secret"])]) == [text]


WORDS = """
password pwd pass TOKEN api_key cookie is : = x7y9 hunter2 a=b " :// @ h.io p@h.io
sk-12345678 ſecret \u212aey authorization Bearer abcdefgh12 AKIA0123456789ABCDEF ghp_ eyJ
. -----BEGIN KEY-----
"""
pieces = st.sampled_from([*WORDS.split(), " ", " PRIVATE ", "\n"])


@given(st.lists(st.lists(pieces, max_size=8).map("".join), min_size=1, max_size=3))
def test_no_hint_hides_a_secret(texts: list[str]) -> None:
    """Where a pattern is not tried, it would have matched nothing."""
    hinted = [Redaction(*each) for each in KNOWN.values()]
    for each in hinted:
        assert redact(texts, [each]) == redact(texts, [replace(each, hint="")])


@pytest.mark.parametrize("address", ["10.0.0.1", "2001:db8::ff00:42:8329", "fe80::1"])
def test_addresses_are_taken_out(address: str) -> None:
    """Also those that are written short."""
    assert redact([f"from {address}."], [Redaction(*KNOWN["ip"])]) == ["from <ip>."]
