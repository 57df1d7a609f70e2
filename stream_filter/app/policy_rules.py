"""What can be wrong with the rules of a topic beside their keys: conditions and names."""

from collections.abc import Sequence

from stream_filter.app.yaml_lines import Place, YamlDocument
from stream_filter.core.errors import ExpressionError
from stream_filter.core.policy import Format, Rule, TopicPolicy
from stream_filter.rules.compiler import compile_condition


def rule_problems(policy: TopicPolicy, document: YamlDocument) -> list[str]:
    """A line for each: file, line, key, place in the condition, and the way out."""
    problems = _problems(policy.rules, policy.format, document, _place(policy.topic, document))
    if policy.challenger is not None:
        own = document.values.get("topics", {}).get(policy.topic, {})
        entry = ("topics", policy.topic) if "challenger" in own else ("defaults",)
        place = (*entry, "challenger", "rules")
        problems += _problems(policy.challenger.rules, policy.format, document, place)
    return problems


def _problems(
    rules: Sequence[Rule], reads: Format, document: YamlDocument, place: Place
) -> list[str]:
    problems = []
    names: dict[str, int] = {}
    for index, rule in enumerate(rules):
        try:
            compile_condition(rule.when, reads=reads)
        except ExpressionError as error:
            problems.append(document.problem((*place, index, "when"), str(error)))
        first = names.setdefault(rule.name or f"#{index + 1}", index)
        if first != index:
            problems.append(
                document.problem(
                    (*place, index, "name"),
                    f"rule {first} is called {rule.name} too: each name stands once",
                )
            )
    return problems


def _place(topic: str, document: YamlDocument) -> Place:
    """Where the rules of a topic are written: with the topic, or in the defaults."""
    own = document.values.get("topics", {}).get(topic, {})
    return ("topics", topic, "rules") if "rules" in own else ("defaults", "rules")
