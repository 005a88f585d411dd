"""The sections of a recipe: one data class a stage, typed, with bounds, and a description of each key for the docs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from overton.folders import estimator_in
from overton.sections_model import Section

ALL_PAIRS = ("supcon", "cosent", "angle")  # losses on all pairs of a batch; the others are on triplets


def _read_path(value: Any) -> Any:
    """A path as people write it: ``~`` is their home, as in names of models, and the empty text is none."""
    return (Path(value).expanduser() if value else None) if isinstance(value, str) else value


ReadPath = Annotated[Path | None, BeforeValidator(_read_path)]


class DataPart(Section):
    """One of several sources."""

    source: Literal["table", "hub", "valueprism", "perspectrum", "argkp"] = Field(description="as in `data.source`")
    path: ReadPath = Field(None, description="as in `data.path`")
    dataset: str = Field("", description="as in `data.dataset`")
    subset: str = Field("", description="as in `data.subset`")
    hub_split: str = Field("train", description="as in `data.hub_split`")
    columns: dict[str, str] = Field(default_factory=dict, description="as in `data.columns`")


class RefineSection(Section):
    """What is done to the perspectives of situations that people wrote, after they are split."""

    merge: float = Field(
        0.0,
        ge=0,
        le=1,
        description="two perspectives of one situation with this cosine or more, by `estimator.base`, are one: the "
        "first wording stays the reference; 0 = off",
    )
    vote: bool = Field(False, description="the model of `llm` confirms each merge by yes or no")
    perspectives: int = Field(
        0,
        ge=0,
        le=20,
        description="situations with fewer are filled up to so many by the model of `llm`; a new one stays when its "
        "cosine to all others is below `merge`; 0 = off",
    )

    @model_validator(mode="after")
    def _check(self) -> RefineSection:
        if (self.vote or self.perspectives) and not self.merge:
            raise ValueError("vote and perspectives need `merge`, the cosine that makes two perspectives one")
        return self


class MineSection(Section):
    """Triplets judged by a language model, as the paper makes them; used with `miner: llm`."""

    cosine: float = Field(
        0.75, gt=0, le=1, description="pairs of one situation from this cosine on, by `estimator.base`, are judged"
    )


class DataSection(Section):
    """Where situations come from and how they are split."""

    source: Literal["world", "table", "hub", "valueprism", "perspectrum", "argkp", "several"] = Field(
        "world",
        description="bundled world, a JSONL/CSV/Parquet file of your own, a data set of the hub, ValuePrism, the "
        "published files of PERSPECTRUM or of Key Point Analysis 2021, or several of these (`parts`)",
    )
    path: ReadPath = Field(None, description="file of source `table` or `valueprism`, folder of the published files")
    dataset: str = Field(
        "", description="`hub` and `valueprism`: name of the data set, or a folder; nothing = allenai/ValuePrism"
    )
    subset: str = Field("", description="`hub` and `valueprism`: the data set's configuration; nothing = its default")
    hub_split: str = Field("train", description="`hub` and `valueprism`: what is read, e.g. train+validation")
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="`table` and `hub`: our name -> your column (id, situation or text, label, explanation, answer)",
    )
    parts: dict[str, DataPart] = Field(
        default_factory=dict, description="`several` only: a name of yours -> its `source`, `path`, `columns`"
    )
    train: int = Field(4000, ge=1, description="situations in the train split (of each part)")
    dev: int = Field(300, ge=1, description="situations in the dev split (thresholds, choices)")
    test: int = Field(300, ge=1, description="situations in the test split (nothing is tuned on it)")
    grpo_only: int = Field(
        0,
        ge=0,
        description="so many situations of the train split get no SFT answer, and GRPO asks those and as many others; "
        "in the world they combine what SFT never sees together; 0 = GRPO asks all",
    )
    triplets: int = Field(6000, ge=1, description="training triplets for the estimator")
    pairs: int = Field(
        2000,
        ge=0,
        description="labelled pairs for calibration (of each part), and as many for the benchmark, half of them the "
        "same; 0 = every pair that people labelled, as often the same as it happens",
    )
    nli_pairs: int = Field(
        16000, ge=100, description="`world` only: pairs that the evaluation's cross-encoder is trained on"
    )
    by_count: bool = Field(
        False, description="also test.5p.jsonl to test.10p.jsonl and test.more.jsonl, by number of perspectives"
    )
    summary: Literal["labels", "extractive", "llm"] = Field(
        "labels",
        description="not `world`; the summary of SFT answers: a sentence that names the labels, one made of the "
        "explanations, or one by the model of `llm`",
    )
    miner: Literal["labels", "llm"] = Field(
        "labels", description="not `world`; what is the same: labels of people, or the model of `llm` (`mine`)"
    )
    refine: RefineSection = Field(default_factory=RefineSection)
    mine: MineSection = Field(default_factory=MineSection)

    @model_validator(mode="after")
    def _check(self) -> DataSection:
        if (self.source == "several") != bool(self.parts):
            raise ValueError("`parts` go with source `several`, and that source with at least one of them")
        if self.source == "several" and (self.path or self.dataset or self.columns):
            raise ValueError("with source `several`, path, dataset and columns belong to each of `parts`")
        if self.source == "world" and self.pairs < 10:
            raise ValueError("pairs: the world has no end of pairs; ask for 10 or more")
        if self.pairs == 1:
            raise ValueError("pairs: half of them are the same, so one is none; ask for 2 or more, or 0 for all")
        if self.source == "world" and (self.encodes or self.summary != "labels"):
            raise ValueError("refine, miner and summary are for sources that people wrote; the world needs none")
        return self

    @property
    def datasets(self) -> list[str]:
        """Data sets that come from the hub, unless they are folders."""
        parts: list[DataPart | DataSection] = [self, *self.parts.values()]
        asked = [p for p in parts if p.source in ("hub", "valueprism") and not p.path]
        return [part.dataset or "allenai/ValuePrism" for part in asked]

    @property
    def outside(self) -> list[Path]:
        """Files and folders that are read, and those data sets that are folders."""
        parts: list[DataPart | DataSection] = [self, *self.parts.values()]
        files = [part.path for part in parts if part.path and part.source != "world"]
        return files + [Path(name).expanduser() for name in self.datasets]

    @property
    def encodes(self) -> bool:
        """Whether cosines of the estimator's base decide anything."""
        return self.refine.merge > 0 or self.miner == "llm"

    @property
    def asks(self) -> bool:
        """Whether a language model is asked."""
        return self.refine.vote or self.refine.perspectives > 0 or "llm" in (self.miner, self.summary)


class EstimatorSection(Section):
    """The Sentence Transformer that says whether two sentences state the same perspective."""

    base: str = Field(
        "sentence-transformers/all-MiniLM-L6-v2", description="hub name or folder of any Sentence Transformer"
    )
    train_on: Literal["triplets", "pairs", "nothing"] = Field(
        "triplets",
        description="`pairs`: every pair of the train split that people labelled, or the clusters imply; `nothing`: "
        "`base` is taken as it is, with its calibration (another run's estimator, or a base whose calibration comes "
        "along), and the keys below have no effect",
    )
    epochs: float = Field(3.0, gt=0, le=100_000, description="passes over the distinct texts, or triplets, by loss")
    batch_size: int = Field(32, ge=2, description="triplets a step")
    learning_rate: float = Field(3e-4, gt=0, le=1, description="peak learning rate")
    warmup_ratio: float = Field(0.1, ge=0, le=1, description="share of the steps that warm up")
    scale: float = Field(20.0, gt=0, le=10_000, description="factor on the cosines in the loss (1 / temperature)")
    loss: Literal["supcon", "cosent", "angle", "mnrl", "cached_mnrl", "gist"] = Field(
        "supcon",
        description="supervised contrastive, CoSENT or AnglE on all pairs of a batch; on triplets alone: "
        "MultipleNegativesRankingLoss, the same in less memory, or GIST guided by the base",
    )
    stance_weight: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="`train_on: pairs`: also rank different views of one stance before views of opposite stances, with "
        "this weight",
    )
    epoch_shares: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(
        default_factory=dict,
        description="`train_on: pairs`: part of `data.parts` -> share of its labelled pairs an epoch takes, drawn anew",
    )
    soup: int = Field(
        1,
        ge=1,
        le=1000,
        description="trainings with different seeds whose weights are averaged; each takes the whole time",
    )
    freeze_layers: int = Field(0, ge=0, description="encoder layers, from the bottom, that stay as they are")
    freeze_words: bool = Field(
        False,
        description="word embeddings stay as they are: words that training lacks keep their place among the others",
    )
    max_seq_length: int = Field(64, ge=8, le=10_000_000, description="longest text, in tokens; the rest is cut off")
    situation: Literal["mask", "prepend", "ignore"] = Field(
        "mask", description="leave the situation's words out on both sides, or write it before both, or neither"
    )
    strip_label: bool = Field(True, description="drop a leading `In the perspective of LABEL,` on both sides")
    subtract_situation: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="so much of the situation's own vector is taken from each text's: what all texts of it share",
    )
    bf16: bool = Field(True, description="bfloat16 autocast where the machine is fast at it")
    different_per_same: float = Field(
        6.0,
        ge=0,
        le=1_000_000,
        description="different pairs for each same pair in use, where a line meets all references of its "
        "situation; threshold, probabilities and benchmark are for this mix; 0 = as in the files",
    )
    target_precision: float = Field(
        0.0,
        ge=0,
        le=1,
        description="the threshold is the lowest at which this share of what is called the same is the same, on dev "
        "pairs; 0 = the one with the best F1",
    )

    @property
    def reads(self) -> tuple[str, ...]:
        """Files of the run that say which perspectives are the same."""
        pairs = ("data/pairs.dev.jsonl", "data/pairs.test.jsonl")
        return {"triplets": ("data/triplets.jsonl", *pairs), "pairs": ("data/pairs.train.jsonl", *pairs)}.get(
            self.train_on, ()
        )

    @property
    def outside(self) -> list[Path]:
        """The base's folder, unless it is a hub name; of another run its estimator alone."""
        folder = Path(self.base).expanduser()
        return [estimator_in(folder) or folder]

    @model_validator(mode="after")
    def _check(self) -> EstimatorSection:
        if self.train_on != "pairs":
            for name in ("stance_weight", "epoch_shares"):
                if getattr(self, name):
                    raise ValueError(f"{name} needs train_on: pairs")
        elif self.loss not in ALL_PAIRS:
            raise ValueError(f"{self.loss} learns from triplets; train_on: pairs goes with {', '.join(ALL_PAIRS)}")
        return self


class ReportSection(Section):
    """The page."""

    examples: int = Field(10, ge=0, description="answers shown side by side")
