"""Scores canonical texts with an SLM on onnxruntime: the one door to that vendor."""

from collections.abc import Callable, Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from stream_filter.core.canonical import clipped
from stream_filter.core.errors import PackError, ScorerError
from stream_filter.models.manifest import SlmStage
from stream_filter.models.pack import ModelPack

_ORT_LOG_FATAL = 4


class OnnxScorer:
    """An SLM in memory, ready to score. Any thread may call `score`, several at once.

    A score depends on its text alone, not on the texts beside it (up to float
    noise below 1e-5), so a cache of scores by text is exact.
    """

    def __init__(
        self,
        stage: SlmStage,
        read: Callable[[str], bytes],
        *,
        name: str = "draft",
        threads: int,
        batch_size: int = 64,
    ) -> None:
        """Load graph and tokenizer; `PackError` if either does not do what the stage says.

        `read` gives the bytes of a file that the stage names; `name` is the pack's, for errors;
        `threads` bounds the threads of the matrix products.
        """
        if threads < 1 or batch_size < 1:
            raise ValueError("threads and batch_size must be at least 1")
        self._stage = stage
        self._batch_size = batch_size
        self._tokenizer = _load_tokenizer(stage, read, name)
        self._session = _load_session(stage, read, name, threads)
        try:
            probe = self.score(("", "probe of the graph"))
        except ScorerError as error:
            raise _graph_error(name, stage, f"cannot be run ({error})") from error
        if not np.isfinite(probe).all():
            raise _graph_error(name, stage, "gives scores that are not numbers")

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Scores of shape (n,), float32 in [0, 1], in the order of `texts`.

        Long texts are `clipped`. Of the tokens the first `max_tokens` are read, or all in windows,
        as the stage says. Raises `ScorerError` if the runtime fails.
        """
        if not texts:
            return np.zeros(0, np.float32)
        windows = self._tokenize(texts)
        scores = self._score([ids for each in windows for ids in each])
        counts = np.fromiter(map(len, windows), np.int64, len(windows))
        highest: NDArray[np.float32] = np.maximum.reduceat(scores, np.cumsum(counts) - counts)
        return highest

    def _score(self, tokens: Sequence[list[int]]) -> NDArray[np.float32]:
        scores = np.zeros(len(tokens), np.float32)
        lengths = np.fromiter((len(ids) for ids in tokens), np.int64, len(tokens))
        order = np.argsort(lengths, kind="stable")
        for start in range(0, len(order), self._batch_size):
            chosen = order[start : start + self._batch_size]
            longest = int(lengths[chosen[-1]])
            mask = (np.arange(longest) < lengths[chosen, None]).astype(np.int64)
            ids = np.zeros((len(chosen), longest), np.int64)
            ids[mask.astype(bool)] = np.concatenate([tokens[index] for index in chosen])
            scores[chosen] = self._run(ids, mask)
        return scores

    def _tokenize(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """The token ids of each text's windows: one at least."""
        heads = list(map(clipped, texts))
        try:
            encodings = self._tokenizer.encode_batch_fast(heads)
        except (UnicodeEncodeError, TypeError):  # lone surrogates cannot be UTF-8
            heads = [head.encode("utf-8", "replace").decode("utf-8") for head in heads]
            encodings = self._tokenizer.encode_batch_fast(heads)
        if self._stage.window is None:
            return [[encoding.ids] for encoding in encodings]
        return [
            [window.ids for window in (encoding, *encoding.overflowing)] for encoding in encodings
        ]

    def _run(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        feed = {self._stage.input_ids: ids, self._stage.attention_mask: mask}
        try:
            (scores,) = self._session.run([self._stage.output], feed)
        except Exception as error:  # the runtime's errors share no public base class
            raise ScorerError(_one_line(error)) from error
        if scores.shape != (len(ids),):
            raise ScorerError(f"output has shape {scores.shape}, expected ({len(ids)},)")
        clipped: NDArray[np.float32] = np.clip(scores, 0.0, 1.0).astype(np.float32, copy=False)
        return clipped


def load_slm(pack: ModelPack, threads: int, batch_size: int = 64) -> OnnxScorer:
    """The SLM of a pack. Raises PackError where it has none, or one that does not load."""
    name, stage = pack.manifest.name, pack.manifest.slm
    if stage is None:
        raise PackError(
            pack=name,
            file="manifest.json",
            problem="has no slm among its stages",
            way_out="name a pack that has one",
        )
    return OnnxScorer(stage, pack.read, name=name, threads=threads, batch_size=batch_size)


def _load_tokenizer(stage: SlmStage, read: Callable[[str], bytes], name: str) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_buffer(read(stage.tokenizer))
        if stage.window is None:
            tokenizer.enable_truncation(stage.max_tokens)
        else:
            tokenizer.enable_truncation(stage.window, stride=stage.window // 2)
        tokenizer.no_padding()
    except PackError:
        raise
    except Exception as error:  # the library raises bare Exception
        raise PackError(
            pack=name,
            file=stage.tokenizer,
            problem=f"is not a tokenizer ({_one_line(error)})",
            way_out="build the pack again",
        ) from error
    return tokenizer


def _load_session(
    stage: SlmStage, read: Callable[[str], bytes], name: str, threads: int
) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.enable_mem_pattern = False  # every batch has another shape
    options.enable_cpu_mem_arena = False  # an arena keeps the largest batch's memory for ever
    options.log_severity_level = _ORT_LOG_FATAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    graph = read(stage.graph)
    try:
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors share no public base class
        raise _graph_error(name, stage, f"does not load ({_one_line(error)})") from error
    declared = {stage.input_ids, stage.attention_mask}
    if {node.name for node in session.get_inputs()} != declared:
        raise _graph_error(name, stage, f"its inputs are not {', '.join(sorted(declared))}")
    if stage.output not in {node.name for node in session.get_outputs()}:
        raise _graph_error(name, stage, f"it has no output {stage.output!r}")
    return session


def _graph_error(name: str, stage: SlmStage, problem: str) -> PackError:
    return PackError(pack=name, file=stage.graph, problem=problem, way_out="build the pack again")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
