"""What can go wrong with a model.

    PackError      the pack on disk is not what its manifest promises; retrying cannot help
    ScoringError   the runtime failed on a batch of texts; retrying may help
"""


class PackError(Exception):
    """A model pack cannot be used. One line: the pack, the file, what is wrong, the way out."""

    def __init__(self, *, pack: str, file: str, problem: str, way_out: str) -> None:
        super().__init__(f"model pack {pack!r}, {file}: {problem}; {way_out}")
        self.pack = pack
        self.file = file
        self.problem = problem
        self.way_out = way_out


class ScoringError(Exception):
    """The model runtime could not score a batch; its own error is the cause."""
