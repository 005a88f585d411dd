"""Ways to run the encoder on a CPU: how fast each is, and whether it decides as float32 does.

    pip install onnx onnxscript onnxruntime      # optional; without them the row for ONNX is left out
    python benchmarks/encoder_backends.py --perspectrum DIR

Encodes the perspectives of PERSPECTRUM's dev claims with the untuned all-MiniLM-L6-v2 in float32, in bfloat16, as an
ONNX graph and with dynamic int8 weights: the same batches of equal token length, in turns, one thread. Prints CPU
seconds as a ratio to float32, the largest error of a cosine, and the decisions at the calibrated threshold that differ
from float32's, as a share of the pairs that float32 calls the same. `--table FILE` prints the table of a results file.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from overton.estimator.open import open_estimator
from overton.estimator.suite import claim_pairs
from overton.jsonio import read_json, write_json
from overton.precision import has_fast_bf16
from overton.rundir import versions

BATCH = 64
Vectors = np.ndarray
Forward = Callable[[np.ndarray], Vectors]


def main() -> None:
    """Measure, or print a table that was measured before."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--perspectrum", type=Path, help="folder with PERSPECTRUM's files")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/encoder_backends.json"))
    parser.add_argument("--table", type=Path, help="print the table of this results file and stop")
    options = parser.parse_args()
    if options.table:
        print(markdown(read_json(options.table)))
        return
    if not options.perspectrum:
        parser.error("--perspectrum is needed")
    import torch

    torch.set_num_threads(1)
    estimator, _ = open_estimator()
    pairs = claim_pairs(options.perspectrum, options.split).pairs
    prepared = estimator.preprocessing([*pairs.left, *pairs.right], [*pairs.situations] * 2)
    texts = sorted(set(prepared))
    batches = batches_of(estimator.model, texts)
    with tempfile.TemporaryDirectory() as scratch:
        ways = {k: w for k, w in ways_to_run(estimator.model, Path(scratch)).items() if w is not None}
        rows, seconds = in_turns(ways, batches, len(texts), options.repeats)
    place = {text: i for i, text in enumerate(texts)}
    left, right = (np.array([place[t] for t in side]) for side in np.split(np.array(prepared, dtype=object), 2))
    cosines = {name: np.einsum("ij,ij->i", found[left], found[right]) for name, found in rows.items()}
    called = cosines["float32"] >= estimator.threshold
    report = {
        "command": "python " + " ".join(sys.argv),
        "texts": len(texts),
        "tokens": int(sum(ids.size for _, ids in batches)),
        "pairs": len(left),
        "called_same": int(called.sum()),
        "threshold": estimator.threshold,
        "versions": versions() | onnx_versions(),
        "date": time.strftime("%Y-%m-%d"),
        "ways": {
            name: {
                "cpu_seconds": seconds[name],
                "speed": median(a / b for a, b in zip(seconds["float32"], seconds[name], strict=True)),
                "cosine_error": float(np.abs(values - cosines["float32"]).max()),
                "decisions": int(((values >= estimator.threshold) != called).sum()),
            }
            for name, values in cosines.items()
        },
    }
    write_json(options.out, report)
    print(markdown(report))


def batches_of(model: Any, texts: list[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(places, token ids) of batches of one token length each."""
    ids = model.tokenizer(texts, truncation=True, max_length=model.max_seq_length)["input_ids"]
    by_length: dict[int, list[int]] = {}
    for index, row in enumerate(ids):
        by_length.setdefault(len(row), []).append(index)
    found = []
    for group in by_length.values():
        for start in range(0, len(group), BATCH):
            part = np.array(group[start : start + BATCH])
            found.append((part, np.array([ids[i] for i in part], dtype=np.int64)))
    return found


def ways_to_run(model: Any, scratch: Path) -> dict[str, Forward | None]:
    """By name what encodes token ids (n, t) to unit rows (n, d); ``None`` where it cannot be had here."""
    import copy

    import torch

    plain = copy.deepcopy(model).eval().requires_grad_(False)
    # The quantized layers are torch's own; nothing else about the model changes.
    quantized = torch.ao.quantization.quantize_dynamic(copy.deepcopy(plain), {torch.nn.Linear}, dtype=torch.qint8)

    def with_torch(network: Any, bf16: bool = False) -> Forward:
        def forward(ids: np.ndarray) -> Vectors:
            tokens = torch.from_numpy(ids)
            autocast = torch.autocast("cpu", dtype=torch.bfloat16) if bf16 else nullcontext()
            with torch.inference_mode(), autocast:
                found = network({"input_ids": tokens, "attention_mask": torch.ones_like(tokens)})
            return found["sentence_embedding"].float().numpy()

        return forward

    return {
        "float32": with_torch(plain),
        "bfloat16": with_torch(plain, bf16=True) if has_fast_bf16("cpu") else None,
        "ONNX, float32": as_onnx(plain, scratch / "model.onnx"),
        "int8 weights": with_torch(quantized),
    }


def as_onnx(model: Any, path: Path) -> Forward | None:
    """The model as a graph in ONNX Runtime, exported with ``torch.onnx``."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  the exporter's
    except ImportError as error:
        print(f"no row for ONNX: {error.name} is not installed", file=sys.stderr)
        return None
    import torch

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model({"input_ids": input_ids, "attention_mask": attention_mask})["sentence_embedding"]

    example = torch.full((3, 12), 1000)
    axes = {0: torch.export.Dim("texts"), 1: torch.export.Dim("tokens")}
    exported = torch.onnx.export(
        Whole(),
        (example, torch.ones_like(example)),
        dynamo=True,
        input_names=["input_ids", "attention_mask"],
        output_names=["sentence_embedding"],
        dynamic_shapes={"input_ids": axes, "attention_mask": axes},
        verbose=False,
    )
    exported.save(str(path))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def forward(ids: np.ndarray) -> Vectors:
        return session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]

    return forward


def in_turns(
    ways: Mapping[str, Forward], batches: list[tuple[np.ndarray, np.ndarray]], texts: int, repeats: int
) -> tuple[dict[str, Vectors], dict[str, list[float]]]:
    """Unit rows and CPU seconds of each way; every repetition runs all of them one after another."""
    rows: dict[str, Vectors] = {}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for forward in ways.values():  # warm up
        forward(batches[0][1])
    for _ in range(repeats):
        for name, forward in ways.items():
            started = time.process_time()
            parts = [(places, forward(ids)) for places, ids in batches]
            seconds[name].append(round(time.process_time() - started, 3))
            found = np.empty((texts, parts[0][1].shape[1]), dtype=np.float32)
            for places, part in parts:
                found[places] = part
            rows[name] = found / np.linalg.norm(found, axis=1, keepdims=True)
    return rows, seconds


def onnx_versions() -> dict[str, str]:
    """Versions of what only the row for ONNX needs."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("onnx", "onnxscript", "onnxruntime"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def markdown(report: Mapping[str, Any]) -> str:
    """One row a way."""
    lines = ["| | speed | largest error of a cosine | decisions that differ |", "|---|---|---|---|"]
    for name, row in report["ways"].items():
        share = row["decisions"] / report["called_same"]
        lines.append(
            f"| {name} | {row['speed']:.2f} x | {row['cosine_error']:.1e} | {row['decisions']} "
            f"({100 * share:.1f}% of {report['called_same']:,}) |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
