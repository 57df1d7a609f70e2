"""Many texts are read as each would be by itself."""

from hypothesis import given, settings
from hypothesis import strategies as st

from stream_filter.analyst.suspicion import are_suspicious, is_suspicious
from tests.injection.hostile import HOSTILE

WORDS = """
ignore ign0re previous other all new instruction prompt event events lines after stop here task you
are must act as with print show secret key mark be is important unimportant un not verdicts verdict
true false yes system user human the ai llm id im_start <<sys>> [/inst] ``` ]} "id" #### < > </ [ ]
忽略 игнорир ignоre importаnt ſystem ıd İd ΙD éimportant importanté \u212a ß ﬁ \\u0069 \\u0041 %69
%6e deadbeef Zm9vYmFy 0123456789 aGVsbG8gd29ybGQhIGhlbGxv _ - . : = " ` + { } | \\n
"""
USUAL = ["job 17 ended"] * 50
ATOMS = [*WORDS.split(), *" \n\t\0\x0b\x1c\x85\u2003\u200b\u0301\ud800\U000e0041"]
texts = st.lists(st.sampled_from(ATOMS), max_size=14).map("".join) | st.text(max_size=40)
spaced = st.lists(st.sampled_from(ATOMS), max_size=14).map(" ".join)
long = st.tuples(st.sampled_from(ATOMS), st.integers(1, 60)).map(lambda of: of[0] * of[1])


@settings(max_examples=300, deadline=None)
@given(st.lists(texts | spaced | long, max_size=12))
def test_together_as_one_by_one(texts: list[str]) -> None:
    """Few or many, whichever engine reads them, whatever stands beside them."""
    alone = [is_suspicious(text) for text in texts]
    assert are_suspicious(texts) == alone
    assert are_suspicious([*texts, *USUAL]) == [*alone, *(False for _ in USUAL)]


def test_real_and_hostile_lines_together(log_lines: list[bytes]) -> None:
    """The same of real lines, and of those that are known to be hostile."""
    texts = [*(line.decode("utf-8", "replace") for line in log_lines[::7]), *HOSTILE]
    assert are_suspicious(texts) == [is_suspicious(text) for text in texts]
