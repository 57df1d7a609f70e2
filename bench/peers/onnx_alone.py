"""onnxruntime alone: the pack's graph over the texts of a stream, without Kafka and the gate.

Reads canonical texts from a file, a JSON array. Prints texts/s as one JSON object, twice: with the
tokenizer in the loop, and over arrays that were tokenized before the clock started.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from stream_filter.models.pack import ModelPack, load_pack

_CHUNK_TEXTS = 2_500
_BATCH_SIZE = 64

Feed = dict[str, NDArray[np.int64]]


class BareRuntime:
    """One pack as plain onnxruntime and tokenizers: default options, a thread for each core."""

    def __init__(self, pack: ModelPack) -> None:
        stage = pack.manifest.slm
        assert stage is not None, "the peer runs an SLM"
        options = ort.SessionOptions()
        options.intra_op_num_threads = os.cpu_count() or 1
        self._session = ort.InferenceSession(
            pack.read(stage.graph), options, providers=["CPUExecutionProvider"]
        )
        self._graph = stage
        self._tokenizer = Tokenizer.from_buffer(pack.read(stage.tokenizer))
        self._tokenizer.enable_truncation(stage.max_tokens)
        self._tokenizer.no_padding()

    def feeds(self, texts: Sequence[str]) -> list[Feed]:
        """Batches of texts of like length, padded to the longest of each."""
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]
        tokens.sort(key=len)
        feeds = []
        for start in range(0, len(tokens), _BATCH_SIZE):
            batch = tokens[start : start + _BATCH_SIZE]
            ids = np.zeros((len(batch), len(batch[-1])), np.int64)
            mask = np.zeros_like(ids)
            for row, line in enumerate(batch):
                ids[row, : len(line)] = line
                mask[row, : len(line)] = 1
            feeds.append({self._graph.input_ids: ids, self._graph.attention_mask: mask})
        return feeds

    def run(self, feeds: Sequence[Feed]) -> None:
        """Score; the scores are thrown away."""
        for feed in feeds:
            self._session.run([self._graph.output], feed)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--texts", type=Path, required=True)
    given = parser.parse_args()
    texts: list[str] = json.loads(given.texts.read_bytes())
    chunks = [texts[at : at + _CHUNK_TEXTS] for at in range(0, len(texts), _CHUNK_TEXTS)]
    runtime = BareRuntime(load_pack(given.pack))
    runtime.run(runtime.feeds(texts[:_BATCH_SIZE]))  # warm

    cpu_s, at_s = time.process_time(), time.perf_counter()
    for chunk in chunks:
        runtime.run(runtime.feeds(chunk))
    whole_s, whole_cpu_s = time.perf_counter() - at_s, time.process_time() - cpu_s

    ready = [runtime.feeds(chunk) for chunk in chunks]
    at_s = time.perf_counter()
    for feeds in ready:
        runtime.run(feeds)
    model_s = time.perf_counter() - at_s
    report = {
        "texts": len(texts),
        "pace": len(texts) / whole_s,
        "pace_tokenized_before": len(texts) / model_s,
        "cpu_us": whole_cpu_s / len(texts) * 1e6,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
