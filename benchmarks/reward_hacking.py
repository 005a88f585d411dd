"""Does the reward pay for cheating? Attacks on honest answers, under both presets.

    python benchmarks/reward_hacking.py --op-bench DIR --responses FILE --perspectrum DIR --run runs/quickstart

Honest answers come from four sources, as far as their paths are given:

    world    policies of a run of the bundled world (--run), scored with the run's estimator
    people   PERSPECTRUM claims (--perspectrum); an answer states a part of the perspectives, in people's words
    systems  OP-GRPO and SFT models on OP-GRPO's test situations (--op-bench, --responses)
    prose    prompted models on the same situations

All but the first are scored with the untuned base and its shipped calibration, or with --estimator. What an attacker
knows is learnt from the part that is not measured; `--part tune` measures on the part that may be looked at while a
reward is changed. Attacks that --out holds already, measured on the same answers with the same settings, stay in it, so
that new ones can be measured alone. `--page` writes the table of --out into docs/reward_hacking.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from hacking.attacks import ATTACKS
from hacking.measure import measure
from hacking.search import universal, with_universal
from hacking.sources import PARTS, PROMPTED, TRAINED, Source, op_bench, perspectrum, world
from hacking.table import markdown
from origin import made_by
from overton.estimator import SimilarityEstimator, open_estimator
from overton.jsonio import read_json, write_json
from overton.rewards.background import Background
from overton.rewards.overton import OvertonPreset
from overton.types import Situation
from pages import fill

SOURCES = ("world", "people", "systems", "prose")
PAGE = Path("docs/reward_hacking.md")


def main() -> None:
    """Measure, or print or write a table that was measured before."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--op-bench", type=Path, help="folder with test_5p.csv, test_6p.csv and test_7p.csv")
    parser.add_argument("--responses", type=Path, help="logged answers to them, JSON lines, gzipped")
    parser.add_argument("--perspectrum", type=Path, help="folder with PERSPECTRUM's files")
    parser.add_argument("--run", type=Path, help="run directory of the bundled world, with generation/")
    parser.add_argument("--estimator", type=Path, help="for real answers, instead of the untuned base")
    parser.add_argument("--sources", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--attacks", nargs="+", choices=sorted(ATTACKS), default=list(ATTACKS), metavar="ATTACK")
    parser.add_argument("--part", choices=PARTS, default="report")
    parser.add_argument("--situations", type=int, default=300, help="of each source at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", dest="overrides", nargs="*", default=[], metavar="FIELD=VALUE", help="of `overton`")
    parser.add_argument("--no-background", action="store_true", help="systems and prose without references behind")
    parser.add_argument("--cache", type=Path, help="folder to keep vectors in for the next time")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/reward_hacking.json"))
    parser.add_argument("--table", type=Path, help="print the table of this results file and stop")
    parser.add_argument("--page", action="store_true", help=f"table of --out into {PAGE}; then stop")
    options = parser.parse_args()
    if options.table or options.page:
        measured = read_json(options.table or options.out)
        if options.page:
            fill(PAGE, "attacks", [markdown(measured)])
        else:
            print(markdown(measured))
        return
    overrides = {key: yaml.safe_load(value) for key, _, value in (text.partition("=") for text in options.overrides)}
    attacks = {name: ATTACKS[name] for name in options.attacks}
    report: dict[str, Any] = {
        "part": options.part,
        "seed": options.seed,
        **made_by(),
        "attacks": {},
        "sources": {},
    }
    earlier = read_json(options.out) if options.out.exists() else {"attacks": {}, "sources": {}}
    if any(earlier.get(key) != report[key] for key in ("part", "seed")):
        earlier = {"attacks": {}, "sources": {}}
    makers = _makers(options)
    for name in options.sources:
        if name not in makers:
            continue
        source, (estimator, title) = makers[name]()
        cases, other = source.cases[options.part], source.cases[PARTS[1 - PARTS.index(options.part)]]
        settings = {**source.settings, **overrides}
        behind = None
        if source.background and not options.no_background:
            behind = Background.of([Situation(c.id, c.prompt, c.references) for c in other], estimator)
        if name != "world":
            weight = OvertonPreset(**settings).background_weight
            found = universal(estimator, other, options.seed, background=behind, weight=weight)
            cases = tuple(with_universal(cases, found))
        step = max(1, len(cases) // options.situations)
        chosen = cases[::step][: options.situations]
        measured = measure(chosen, estimator, attacks, options.seed, settings, name, behind)
        about = {
            "estimator": title,
            "threshold": round(estimator.threshold, 4),
            "overrides": settings,
            "background": len(behind.rows) if behind else 0,
        }
        report["sources"][name] = _with_earlier({**about, **measured}, earlier["sources"].get(name))
        report["attacks"] = {n: w for n, w in _all_attacks().items() if _measured(n, report)}
        write_json(options.out, report)
    if not report["sources"]:
        parser.error("give the paths of at least one source: --run, --perspectrum, or --op-bench and --responses")
    print(markdown(report))


def _all_attacks() -> dict[str, dict[str, Any]]:
    return {name: {"what": a.what, "oracle": a.oracle} for name, a in ATTACKS.items()}


def _measured(attack: str, report: dict[str, Any]) -> bool:
    return any(attack in source["attacks"] for source in report["sources"].values())


def _with_earlier(found: dict[str, Any], earlier: dict[str, Any] | None) -> dict[str, Any]:
    """What was measured now, and the other attacks that were measured before on the same answers, which scored the
    same then."""
    if earlier is None or any(found[k] != earlier.get(k) for k in found if k != "attacks"):
        return found
    return {**found, "attacks": {**earlier["attacks"], **found["attacks"]}}


def _makers(options: argparse.Namespace) -> dict[str, Callable[[], tuple[Source, tuple[SimilarityEstimator, str]]]]:
    """Sources whose paths are given, each with what scores it."""

    def opened(name: Path | None, data_set: str = "") -> tuple[SimilarityEstimator, str]:
        cache = options.cache / f"{name.name if name else 'base'}.sqlite" if options.cache else None
        if cache:
            cache.parent.mkdir(parents=True, exist_ok=True)
        estimator, title = open_estimator(name, data_set=data_set, cache_file=cache)
        return estimator, Path(title).name

    seed = options.seed
    found: dict[str, Callable[[], tuple[Source, tuple[SimilarityEstimator, str]]]] = {}
    if options.run:
        found["world"] = lambda: (world(options.run, seed), opened(options.run))
    if options.perspectrum:
        own = "" if options.estimator else "perspectrum"
        found["people"] = lambda: (perspectrum(options.perspectrum, seed), opened(options.estimator, own))
    if options.op_bench and options.responses:
        folders = options.op_bench, options.responses
        found["systems"] = lambda: (op_bench(*folders, TRAINED, seed, "systems"), opened(options.estimator))
        found["prose"] = lambda: (op_bench(*folders, PROMPTED, seed, "prose"), opened(options.estimator))
    return found


if __name__ == "__main__":
    main()
