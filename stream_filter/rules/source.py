"""The expression that is being compiled, for complaints about it."""

from dataclasses import dataclass

from stream_filter.core.errors import ExpressionError
from stream_filter.core.policy import Format
from stream_filter.rules import syntax


@dataclass(frozen=True, slots=True)
class Source:
    expression: str
    format: Format

    def refusal(self, problem: str, at: int, way_out: str | None = None) -> ExpressionError:
        """The error to raise. `at`: characters from the start of the expression."""
        return ExpressionError(problem, self.expression, at, way_out=way_out)


def start(node: syntax.Node) -> int:
    """Where a node begins: the parser places calls and selections where their sign stands."""
    match node:
        case syntax.Select():
            return start(node.of)
        case syntax.Call(target=None) if node.function[0].isalpha():
            return node.at - len(node.function)
        case syntax.Call(target=None):
            return start(node.arguments[0]) if len(node.arguments) > 1 else node.at
        case syntax.Call():
            return node.at - len(node.function)
    return node.at
