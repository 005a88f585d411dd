"""The similarity estimator on a GPU: sentences a second when it encodes and when it is fine-tuned, and the limit.

    python benchmarks/gpu/estimator_speed.py --references DIR --responses FILE --out estimator_speed.json
    python benchmarks/gpu/estimator_speed.py --references DIR --responses FILE --tiny   # the whole way on a CPU

Sentences are those of real answers, each encoded once, with nothing remembered. Two shapes: all-MiniLM-L6-v2 as it
comes, and one of mpnet-base's size (12 layers of 768) with random weights, since speed does not depend on what they
say. The limit is the best speed of the model's own dense layers, measured in the same run; what is needed are the
dense layers and the attention of the texts' tokens, padding not counted, and three times that with the backward pass.

Fine-tuning takes two trainings, the second of twice the length: the difference has no loading in it.

Without a GPU and without --tiny it says so and does nothing.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gpu.device import device_name, layer_flops, peak_flops, settle
from origin import made_by
from overton.estimator import SimilarityEstimator, resolve_base, train_estimator
from overton.jsonio import write_json
from overton.sections import EstimatorSection
from speed.data import read_groups
from speed.limit import needed_flops

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
BASE_SIZE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
TINY_SIZE = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}


def random_base(size: dict[str, int], folder: Path) -> Path:
    """A BERT of this size with random weights and MiniLM's tokenizer, as a Sentence Transformers folder."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    tokenizer = AutoTokenizer.from_pretrained(str(resolve_base(MINILM)))
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(tokenizer), **size)).save_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "bert")
    body = Transformer(str(folder / "bert"))
    parts = [body, Pooling(body.get_embedding_dimension()), Normalize()]
    SentenceTransformer(modules=parts, device="cpu").save_pretrained(str(folder / "model"))
    return folder / "model"


def encoding(base: Path, sentences: list[str], batch_size: int) -> dict[str, Any]:
    """Sentences a second, and the share of the limit."""
    from overton.estimator.models import load_sentence_transformer

    model = load_sentence_transformer(base, 128)
    estimator = SimilarityEstimator(model, batch_size=batch_size)
    estimator.encode(sentences[:200], preprocess=False)  # the first call loads what later ones have
    estimator.clear_cache()
    settle(reset=True)
    began = time.perf_counter()
    estimator.encode(sentences, preprocess=False)
    seconds = time.perf_counter() - began  # rows come back as numpy, so the GPU is done
    dense = sum(2 * m.weight.numel() for m in bert(model).encoder.modules() if isinstance(m, torch.nn.Linear))
    count, tokens, flops = needed_flops(estimator, sentences, dense)
    limit = layer_flops(bert(model).encoder, torch.bfloat16 if estimator.bf16 else torch.float32)
    return {
        "batch_size": batch_size,
        "sentences": count,
        "tokens": tokens,
        "seconds": round(seconds, 4),
        "sentences_a_second": round(count / seconds, 1),
        "tflops": round(flops / seconds / 1e12, 4),
        "limit_tflops": round(limit / 1e12, 4),
        "share_of_limit": float(f"{flops / seconds / limit:.3g}"),
        "peak_memory_gib": settle(),
    }


def training(base: Path, sentences: list[str], batch_size: int, steps: int) -> dict[str, Any]:
    """Sentences a second of fine-tuning on triplets, and the share of the limit."""
    from overton.estimator.models import load_sentence_transformer

    section = EstimatorSection(
        base=str(base), loss="mnrl", batch_size=batch_size, epochs=1, max_seq_length=128, situation="ignore"
    )
    rng = random.Random(0)
    found = []
    settle(reset=True)
    with tempfile.TemporaryDirectory() as folder:
        for factor in (1, 2):
            chosen = [rng.sample(sentences, 3) for _ in range(factor * steps * batch_size)]
            rows = [{"situation": "", "anchor": a, "positive": p, "negative": n} for a, p, n in chosen]
            began = time.perf_counter()
            steps_done = train_estimator(rows, section, Path(folder) / str(factor))["steps"]
            found.append((steps_done, time.perf_counter() - began))
        memory = settle()
    model = load_sentence_transformer(base, 128)
    estimator = SimilarityEstimator(model)
    dense = sum(2 * m.weight.numel() for m in bert(model).encoder.modules() if isinstance(m, torch.nn.Linear))
    _, tokens, flops = needed_flops(estimator, sentences, dense)
    limit = layer_flops(bert(model).encoder, torch.bfloat16 if estimator.bf16 else torch.float32)
    (fewer, shorter), (more, longer) = found
    texts, seconds = 3 * batch_size * (more - fewer), longer - shorter
    row = {
        "batch_size": batch_size,
        "sentences": texts,
        "tokens_a_sentence": round(tokens / len(sentences), 1),
        "seconds": round(seconds, 6),
        "limit_tflops": round(limit / 1e12, 4),
        "peak_memory_gib": memory,
    }
    if seconds <= 0:  # too few steps for the noise of loading
        return row | {"not_measured": "the longer training took no longer: more --training-steps"}
    needed = 3 * flops / len(sentences) * texts
    return row | {
        "sentences_a_second": round(texts / seconds, 1),
        "tflops": round(needed / seconds / 1e12, 4),
        "share_of_limit": float(f"{needed / seconds / limit:.3g}"),
    }


def bert(model: Any) -> Any:
    """The BERT within a Sentence Transformer."""
    return model[0].auto_model


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--references", type=Path, required=True, help="folder with test_5p.csv, test_6p.csv, test_7p.csv"
    )
    parser.add_argument("--responses", type=Path, required=True, help="logged answers, JSON lines, gzipped")
    parser.add_argument("--out", type=Path, default=Path("estimator_speed.json"))
    parser.add_argument("--sentences", type=int, default=40_000, help="to encode")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[64, 512], help="when encoding")
    parser.add_argument("--training-batch-size", type=int, default=128, help="triplets")
    parser.add_argument("--training-steps", type=int, default=100, help="of the shorter training")
    parser.add_argument("--tiny", action="store_true", help="few sentences and a tiny second shape")
    options = parser.parse_args()
    if not torch.cuda.is_available() and not options.tiny:
        print("skipped: there is no GPU. --tiny goes the whole way on a CPU; its figures mean nothing.")
        return 0
    size = BASE_SIZE
    if options.tiny:
        size, options.sentences, options.batch_sizes = TINY_SIZE, 60, [16]
        options.training_batch_size, options.training_steps = 4, 2
    groups = read_groups(options.references, options.responses, 10, seed=0)
    lines = {line for g in groups for a in g.answers for line in a.splitlines()[1:-4] if len(line.split()) > 3}
    sentences = sorted(lines)
    random.Random(0).shuffle(sentences)
    sentences = sentences[: options.sentences]
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        bases = {"all-MiniLM-L6-v2": resolve_base(MINILM), "mpnet-base's size": random_base(size, Path(folder))}
        for name, base in bases.items():
            results[name] = {
                "encoding": [encoding(Path(base), sentences, count) for count in options.batch_sizes],
                "training": training(Path(base), sentences, options.training_batch_size, options.training_steps),
            }
            print(name, results[name], flush=True)
    write_json(
        options.out,
        {
            **made_by(),
            "device": device_name(),
            "peak_tflops": round(peak_flops() / 1e12, 1),
            "results": results,
        },
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
