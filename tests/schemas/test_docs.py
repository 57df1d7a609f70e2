"""The documentation is about this code: names, defaults and examples agree with it."""

import re
import tomllib
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from stream_filter.app.case_model import CaseModel, ExpectModel
from stream_filter.app.policy_file import LATER, load_policy
from stream_filter.app.policy_model import DefaultsModel, TopicModel
from stream_filter.app.settings import Settings
from stream_filter.cli.main import main
from stream_filter.core.canonical import COLLAPSE, MASK_SET_VERSION, TYPED, canonicalize
from stream_filter.core.decision import Reason, Route, Verdict
from stream_filter.telemetry.analyst_metrics import AnalystMetrics
from stream_filter.telemetry.metrics import Metrics

REPO = Path(__file__).parents[2]
PAGES = sorted([REPO / "README.md", REPO / "CHANGELOG.md", *(REPO / "docs").glob("*.md")])


def read(name: str) -> str:
    """A page's text."""
    return (REPO / name).read_text(encoding="utf-8")


def rows(name: str, columns: int) -> list[list[str]]:
    """The rows of a page's tables that have so many columns, cells stripped."""
    cells = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in read(name).splitlines()
        if line.startswith("|")
    ]
    return [row for row in cells if len(row) == columns]


def yaml_blocks(name: str) -> list[str]:
    """The YAML examples of a page."""
    return re.findall(r"```yaml\n(.*?)```", read(name), re.S)


def settings_fields(
    model: type[BaseModel] = Settings, prefix: str = ""
) -> Iterator[tuple[str, FieldInfo]]:
    """Every setting by its dotted key."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings_fields(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def test_every_setting_is_documented_with_its_default() -> None:
    """docs/operations.md lists exactly the settings, their variables and their defaults."""
    documented = {
        row[0].strip("`"): (row[1].strip("`"), row[2])
        for row in rows("docs/operations.md", 4)
        if row[1].startswith("`STREAM_FILTER_")
    }
    expected = {}
    for key, field in settings_fields():
        variable = "STREAM_FILTER_" + key.replace(".", "__").upper()
        default = "unset" if field.default is None else f"`{field.default}`"
        default = default.lower() if isinstance(field.default, bool) else default
        if field.default_factory is not None:
            default = documented.get(key, ("", ""))[1]  # depends on the machine: said in words
        expected[key] = (variable, default)
    assert documented == expected


def test_settings_are_described() -> None:
    """Every setting says what it is, for the schema and for editors."""
    assert [key for key, field in settings_fields() if not field.description] == []


def test_every_metric_is_documented() -> None:
    """docs/operations.md lists exactly the metrics, with their types and labels."""
    documented = {
        row[0].strip("`"): (row[1], re.findall(r"`(\w+)`", row[2]))
        for row in rows("docs/operations.md", 4)
        if row[0].startswith("`stream_filter_")
    }
    metrics = Metrics()
    labels = {m._name: list(m._labelnames) for m in vars(metrics).values() if hasattr(m, "_name")}
    expected = {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            labels[family.name],
        )
        for family in metrics.registry.collect()
    }
    assert documented == expected


def test_pages_name_only_metrics_that_exist() -> None:
    """Alerts, queries and prose use names of the closed list."""
    registries = (Metrics().registry, AnalystMetrics().registry)
    known = {family.name for registry in registries for family in registry.collect()}
    for page in PAGES:
        for name in re.findall(r"\bstream_filter_\w+", page.read_text(encoding="utf-8")):
            stem = re.sub(r"_(total|bucket|count|sum)$", "", name)
            assert stem in known, f"{page.name}: {name}"


def test_every_log_line_is_documented() -> None:
    """docs/operations.md lists exactly the log lines, with their levels."""
    source = "\n".join(p.read_text() for p in (REPO / "stream_filter").rglob("*.py"))
    logged = re.findall(r'_log\.(info|warning|error)\(\s*"([a-z.]+)"', source)
    section = read("docs/operations.md").partition("## Logs")[2].partition("## Alerts")[0]
    documented = [
        (level, name)
        for names, level in re.findall(r"^\| (`.*?`) \| (\w+) \|", section, re.M)
        for name in re.findall(r"`([a-z]+\.[a-z]+)`", names)
    ]
    assert sorted(documented) == sorted(set(logged))


@pytest.mark.parametrize("closed_list", [Verdict, Route, Reason])
def test_every_label_is_explained(closed_list: type[Enum]) -> None:
    """docs/policy.md has a row for each verdict, route and reason."""
    explained = {
        row[0].strip("`") for row in [*rows("docs/policy.md", 2), *rows("docs/policy.md", 3)]
    }
    assert {member.name.lower() for member in closed_list} <= explained


def test_every_policy_key_is_explained() -> None:
    """docs/policy.md explains the keys of this version and names those of later ones."""
    explained = {row[0].strip("`") for row in rows("docs/policy.md", 3)}
    assert set(TopicModel.model_fields) <= explained
    assert set(DefaultsModel.model_fields) == set(TopicModel.model_fields)
    later = read("docs/policy.md").partition("## Not in this version")[2]
    assert set(LATER) <= set(re.findall(r"`(\w+)`", later))


@pytest.mark.parametrize("page", ["README.md", "docs/policy.md"])
def test_every_example_policy_loads(page: str, tmp_path: Path) -> None:
    """What a page shows as a policy is one."""
    examples = [block for block in yaml_blocks(page) if "topics:" in block]
    assert examples
    for index, example in enumerate(examples):
        path = tmp_path / f"{index}.yaml"
        path.write_text(example, encoding="utf-8")
        assert load_policy(path).topics


def test_example_cases_hold(tmp_path: Path) -> None:
    """The cases that docs/policy.md shows hold on the first policy that it shows; what it shows of
    a failure is what a failing case prints."""
    policy, cases = tmp_path / "policy.yaml", tmp_path / "cases.yaml"
    blocks = yaml_blocks("docs/policy.md")
    policy.write_text(next(block for block in blocks if "topics:" in block))
    (shown,) = (block for block in blocks if "cases:" in block)
    cases.write_text(shown)
    test = ["test", str(policy), str(cases), "--model-dir", str(REPO / "models")]
    passed = CliRunner().invoke(main, test)
    assert (passed.exit_code, passed.stderr) == (0, "")
    assert passed.stdout.startswith("3 cases passed, policy id ")
    asked = "{route: discard, reason: below_threshold, text:"
    cases.write_text(shown.replace(asked, "{verdict: keep, text:"))
    failed = CliRunner().invoke(main, test)
    assert failed.exit_code == 1
    (said,) = re.findall(r"```\n(FAILED .*?)\n```", read("docs/policy.md"), re.S)
    numbers = re.compile(r"0\.[0-9]{6}")  # a score varies a little with the machine
    printed = failed.stdout.replace(f"{tmp_path}/", "").partition("\n\n")[0]
    assert numbers.sub("n", printed) == numbers.sub("n", said)


def test_every_key_of_a_case_is_explained() -> None:
    """docs/policy.md explains the keys of a case and of what it expects."""
    section = read("docs/policy.md").partition("## Testing a policy")[2].partition("\n## ")[0]
    explained = set(re.findall(r"`(\w+)`", section))
    assert {*CaseModel.model_fields, *ExpectModel.model_fields} <= explained


@pytest.mark.parametrize(
    "page",
    ["README.md", "docs/policy.md", "deploy/policy.yaml", "stream_filter/demo/policy.yaml"],
)
def test_editors_find_the_schema(page: str) -> None:
    """What is shipped or shown first as a policy names its schema, which is there."""
    text = yaml_blocks(page)[0] if page.endswith(".md") else read(page)
    first = text.partition("\n")[0]
    (schema,) = re.findall(r"^# yaml-language-server: \$schema=(\S+)$", first)
    target = ((REPO / page).parent / schema).resolve()
    assert target == REPO / "schemas/policy.schema.json"


def test_mask_table_is_the_mask_set() -> None:
    """docs/formats.md lists the masks in order, and every example comes out as it says."""
    table = re.findall(r"^\| `(\w+)` \| `(.+)` \| `(.+)` \|$", read("docs/formats.md"), re.M)
    assert [name for name, _, _ in table] == [mask.name for mask in (COLLAPSE, *TYPED)]
    for name, text, canonical in table:
        assert canonicalize(text) == canonical, name
    assert f"`{MASK_SET_VERSION}`" in read("docs/formats.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page leads to a file, and to a heading where it names one."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path) if path else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.M)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, target


def test_readme_begins_with_demo_and_test() -> None:
    """The first two commands that a reader meets are `make demo` and `make test`."""
    first = re.findall(r"```sh\n(.*?)```", read("README.md"), re.S)[0]
    commands = [line.split("#")[0].strip() for line in first.splitlines() if line.strip()]
    assert commands[:2] == ["make demo", "make test"]


def test_every_dependency_has_its_reason() -> None:
    """docs/architecture.md says why each dependency is there."""
    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(name for extra in extras for name in extra)]
    names = {re.split(r"[\[<>=~! ]", requirement)[0].lower() for requirement in wanted}
    section = read("docs/architecture.md").partition("## Dependencies")[2]
    names -= {project["name"]}  # an extra may take in another
    assert names == {name.lower() for name in re.findall(r"\*\*([\w-]+)\*\*", section)}
