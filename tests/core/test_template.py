"""Text templates and field paths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.core.template import FieldPath, extract, parse_path, parse_template

PLAIN_KEYS = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=8)
ODD_KEYS = st.text(st.characters(exclude_characters='"', codec="utf-8"), min_size=1, max_size=8)
STEPS = st.one_of(
    PLAIN_KEYS.map(lambda key: (f".{key}", key)),
    ODD_KEYS.map(lambda key: (f'["{key}"]', key)),
    st.integers(0, 999_999).map(lambda index: (f"[{index}]", index)),
)


@st.composite
def paths(draw: st.DrawFn) -> tuple[str, FieldPath]:
    """A path as it is written, and its steps."""
    first = draw(
        st.one_of(PLAIN_KEYS.map(lambda k: (k, k)), ODD_KEYS.map(lambda k: (f'["{k}"]', k)))
    )
    written: list[str] = [first[0]]
    steps: list[str | int] = [first[1]]
    for source, step in draw(st.lists(STEPS, max_size=5)):
        written.append(source)
        steps.append(step)
    return "".join(written), tuple(steps)


@given(paths())
def test_path_round_trip(path: tuple[str, FieldPath]) -> None:
    """A path that is written by the rules parses to the steps that it was written from."""
    source, steps = path
    assert parse_path(source) == steps


@given(st.lists(paths(), min_size=1, max_size=4), st.lists(st.text(max_size=8), min_size=5))
def test_template_round_trip(written: list[tuple[str, FieldPath]], texts: list[str]) -> None:
    """Literals, with their braces doubled, and fields come out as they went in."""
    source = ""
    for (path, _), text in zip(written, texts, strict=False):
        source += text.replace("{", "{{").replace("}", "}}") + "{" + path + "}"
    template = parse_template(source)
    assert template.fields == tuple(steps for _, steps in written)
    assert template.literals == (*texts[: len(written)], "")
    assert template.source == source


@pytest.mark.parametrize(
    "source",
    ["", ".a", "a.", "a..b", "[0]", "a[", "a[x]", "a[-1]", "a[1234567]", 'a["b', 'a"b', "a]", "a}",
     '["a"]b', "a[0]b", "a[]"],
)  # fmt: skip
def test_broken_paths(source: str) -> None:
    """What is no path is refused with a message that shows it."""
    with pytest.raises(ValueError, match="field path") as caught:
        parse_path(source)
    assert repr(source)[1:-1] in str(caught.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("plain", "names no field"),
        ("", "names no field"),
        ("{{a}}", "names no field"),
        ("{a", "never closed"),
        ("a}", "unmatched"),
        ("{a}}", "unmatched"),
        ("{}", "starts with the name of a field"),
        ("{a..b}", "cannot read"),
        ('{["a}', "never closed"),
    ],
)
def test_broken_templates(source: str, said: str) -> None:
    """What is no template is refused, and the message says why."""
    with pytest.raises(ValueError, match=said):
        parse_template(source)


def test_quoted_key_may_hold_anything() -> None:
    """A key with dots, brackets and braces is one step."""
    assert parse_template('{["a.b[0]}{"]}').fields == (("a.b[0]}{",),)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("a",), {"b": [1, {"c": "x"}]}),
        (("a", "b", 1, "c"), "x"),
        (("a", "b", 0), 1),
        (("a", "b", 2), None),
        (("a", "b", "0"), None),
        (("a", 0), None),
        (("a", "b", 0, "c"), None),
        (("z",), None),
    ],
)
def test_extract(path: FieldPath, expected: object) -> None:
    """A path leads to its value, and to None where the document has another shape."""
    assert extract({"a": {"b": [1, {"c": "x"}]}}, path) == expected


@given(
    st.recursive(st.none() | st.text(max_size=4), lambda inner: st.lists(inner, max_size=3)),
    paths(),
)
def test_extract_never_raises(document: object, path: tuple[str, FieldPath]) -> None:
    """Whatever the document is, a path reads something or None."""
    extract(document, path[1])
