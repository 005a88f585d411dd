"""Does a small policy trained with OP-GRPO beat one of 6.7 times its size, and every other way to more perspectives?

    python benchmarks/small_beats_big.py                       # everything; goes on where it was killed
    python benchmarks/small_beats_big.py --seeds 0 --systems sft op-grpo big
    python benchmarks/small_beats_big.py --seeds 3 4 5 --ablations --runs runs/more-seeds --out MORE.json
    python benchmarks/small_beats_big.py --page                # docs/results.md, README.md and the figure from --out

For each seed: data and estimator as in recipes/small-beats-big.yaml, then each system's policies and answers, judged on
held-out situations by the world's oracle and by an NLI model that shares nothing with the reward. Ablations run on the
first seed alone unless --ablations says otherwise, when no part of the headline can begin. Every finished part is kept
and skipped the next time. --out is written anew now and then when a part is finished, and at the end, from all that is
finished under --runs, so it says at any time which seeds and systems it holds.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from headline.measure import measure, nli_model
from headline.parts import Part, made, missing_lengths, parts_of
from headline.report import collect, goals, markdown, write_page
from headline.systems import SYSTEMS
from headline.train import Seed
from headline.trainings import trainings_table
from overton.jsonio import read_json, write_json
from overton.recipe import load_recipe
from overton.rundir import versions
from pages import fill

ROOT = Path(__file__).resolve().parents[1]
MORE = ROOT / "benchmarks" / "results" / "small_beats_big_more_seeds.json"
REPORT_SECONDS = 180


def main() -> None:
    """Train and measure, or write the page from what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "small-beats-big.yaml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ablations", type=int, nargs="*", metavar="SEED", help="default: the first of --seeds")
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS), metavar="SYSTEM")
    parser.add_argument("--set", dest="overrides", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--jobs", type=int, default=2, help="workers side by side, on one thread each")
    parser.add_argument("--runs", type=Path, default=Path("runs/small-beats-big"))
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "small_beats_big.json")
    parser.add_argument("--page", action="store_true", help="write the pages and the figure from --out; then stop")
    parser.add_argument("--more", type=Path, default=MORE, help="results of other seeds, which the page sets beside")
    options = parser.parse_args()
    if options.page:
        report, more = read_json(options.out), read_json(options.more)
        trainings = trainings_table([report, more])  # first, so that reports which clash leave all pages as they are
        write_page(report, ROOT)
        fill(ROOT / "docs" / "results.md", "more-seeds", goals(more))
        fill(ROOT / "docs" / "results.md", "trainings", trainings)
        return
    if options.ablations is None:
        options.ablations = options.seeds[:1]
    for name, seed in missing_lengths(options.systems, options.seeds, options.runs):
        parser.error(f"{name} of seed {seed} is as long as answers that are not there: add {SYSTEMS[name].as_long_as}")
    options.command = shlex.join(["python", "benchmarks/small_beats_big.py", *sys.argv[1:]])
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}  # of the workers
    context = get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=context, initializer=end_with, initargs=(os.getpid(),)) as pool:
        parts = parts_of(options.systems, options.seeds, options.ablations)
        written = time.monotonic()
        try:
            for _ in made(parts, pool, options.jobs, partial(make, options)):
                if time.monotonic() - written > REPORT_SECONDS:
                    write_report(options)
                    written = time.monotonic()
        except BrokenProcessPool:
            print("A worker was killed, perhaps for memory. Give the command again, or fewer --jobs.", file=sys.stderr)
            raise
        except (Exception, KeyboardInterrupt) as error:
            print(f"{error!r}\nWhat other workers are making is finished first.", file=sys.stderr)
            raise
        finally:
            write_report(options)
    print(markdown(read_json(options.out)))


def end_with(parent: int) -> None:
    """End this process when the one that started it is gone, so that a command that was killed can be given again."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def make(options: argparse.Namespace, part: Part) -> None:
    """Make one part, if it is not finished yet."""
    import torch

    seed = Seed(options.recipe, [*options.overrides, f"seed={part.seed}"], options.runs / f"seed-{part.seed}")
    torch.set_num_threads(seed.recipe.threads or 1)
    if part.kind == "prepare":
        seed.prepare()
        nli_model(seed)
    elif part.kind == "policy":
        seed.train(part.name)
    else:
        measure(seed, part.name)


def write_report(options: argparse.Namespace) -> None:
    """Write ``--out`` from whatever is finished; a file of before stays while no system is."""
    found = collect(options.runs)
    if found["systems"]:
        report = {
            "command": options.command,
            "date": time.strftime("%Y-%m-%d"),
            "versions": versions(),
            "recipe": load_recipe(options.recipe, options.overrides).model_dump(mode="json", exclude={"seed"}),
            **found,
        }
        write_json(options.out, report)


if __name__ == "__main__":
    main()
