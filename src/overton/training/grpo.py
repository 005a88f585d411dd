"""OP-GRPO with TRL's GRPOTrainer, and the small subclass that adds credit per perspective."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import is_peft_model
from datasets import Dataset
from transformers import set_seed
from trl import GRPOConfig, GRPOTrainer

from overton.errors import ModelError, NonFiniteError
from overton.estimator import SimilarityEstimator
from overton.integrations.trl import TrlReward
from overton.precision import ignore_launchers_precision
from overton.processes import gather, number
from overton.progress import say
from overton.prompting import build_prompt, longest_prompt
from overton.recipe import Recipe
from overton.training.adapters import adapter_of, lora_config, unmerge_exactly, with_adapter
from overton.training.arguments import grpo_arguments
from overton.training.callbacks import MetricsFile, OwnRun
from overton.training.credit import line_advantages, new_matches, token_advantages, token_spans
from overton.training.guard import GuardedTrainer, plain
from overton.training.lengths import context_problems, positions_of, settle, situation_problems
from overton.training.optimizers import make_optimizer
from overton.training.order import EpochOrder
from overton.training.placement import placed_reward
from overton.training.policy import load_policy, training_dtype
from overton.training.shrink import fast_generate
from overton.training.trainers import has_plain_logits, in_blocks, is_sharded, on_one_cpu, train_and_save
from overton.types import Situation

_ROWS, _WIDTH = 32, 16  # of a forward pass in the update: rows at most, and what its tokens are a multiple of
_REWARD_ADVICE = "see `reward` and `terms`. A reward of your own gives None, with a reason, for what it cannot score."


class OpGrpoTrainer(GuardedTrainer, GRPOTrainer):
    """GRPOTrainer whose advantages may differ from token to token.

    Args:
        reward: the one reward function; its last scores give each segment's credit.
        credit_weight: weight of the credit beside the answer's advantage; 0 leaves TRL's trainer as it is.
        credit_discount: weight of what comes after a segment (see :mod:`overton.training.credit`).
    """

    def __init__(
        self, *args: Any, reward: TrlReward, credit_weight: float, credit_discount: float, **kwargs: Any
    ) -> None:
        super().__init__(*args, reward_funcs=[reward], **kwargs)
        self.overton_reward = reward
        self.credit_weight = credit_weight
        self.credit_discount = credit_discount
        self._pieces: dict[int, int] = {}
        model = self.accelerator.unwrap_model(self.model)
        self._plain_logits = on_one_cpu(self) and has_plain_logits(model)
        if self.use_vllm and is_peft_model(model) and not is_sharded(self):
            unmerge_exactly(model)

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        return EpochOrder(super()._get_train_sampler(dataset), self.args.seed, lambda: int(self.state.epoch or 0))

    def _generate(self, prompts: list[Any]) -> Any:
        started = time.perf_counter()
        model = self.accelerator.unwrap_model(self.model)
        if is_sharded(self):
            # Lets `generate` go on until the longest answer of any process has ended. transformers knows by itself for
            # ZeRO-3 and its own FSDP2, but not for Accelerate's: a process that is done would leave the rest waiting.
            model._is_fsdp_managed_module = True
        try:
            # vLLM within this process has its own precision, and sharded weights are cast as they are gathered.
            as_is = is_sharded(self) or self.use_vllm
            with nullcontext() if as_is else fast_generate(model, self.accelerator.autocast()):
                result = super()._generate(prompts)
        except NonFiniteError as error:
            self.stop(str(error), [{"prompt": prompt} for prompt in prompts])
        self._metrics["train" if self.model.training else "eval"]["seconds/generation"].append(
            time.perf_counter() - started
        )
        return result

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        scores = self.overton_reward.last_scores
        # Not read by TRL; goes along with its answer to the file of a batch that stopped the training.
        output["reward"] = torch.tensor([math.nan if s.value is None else s.value for s in scores])
        if not self.credit_weight:
            return output
        mask = output["completion_mask"]
        # To the CPU and back in one go: row by row, a GPU would be waited for at each answer.
        written = zip(output["completion_ids"].cpu(), mask.bool().cpu(), strict=True)
        tokens = [row[m].tolist() for row, m in written]
        scored = [i for i, s in enumerate(scores) if s.value is not None]
        # Baselines and scale are those of the whole step, whichever process an answer is on.
        everywhere = gather([(number(), list(scores[i].credits)) for i in scored])
        if self.state.global_step == 0 and number() == 0:
            _tell_of_misses([credits for _, credits in everywhere])
        segments, decisions = line_advantages([credits for _, credits in everywhere], self.credit_discount)
        here = [place for place, (process, _) in enumerate(everywhere) if process == number()]
        extra = torch.zeros(mask.shape, dtype=torch.float32)
        for index, place in zip(scored, here, strict=True):
            text, shift = self.overton_reward.last_texts[index], 0
            if not isinstance(inputs[index]["prompt"], str):
                # A tokenizer that parses responses hands over a part of the text only, without the thinking.
                whole = self._decode(tokens[index])
                text, shift = whole, whole.find(text)
            if shift < 0:
                continue
            spans = token_spans(tokens[index], text, self._pieces, self._decode)
            if shift:
                spans = [(start - shift, end - shift) for start, end in spans]
            row = token_advantages(spans, scores[index].segments, segments[place], decisions[place])
            extra[index, : len(row)] = torch.from_numpy(row)
        extra = extra.to(mask.device)
        squares = torch.stack([extra[mask.bool()].pow(2).sum(), mask.sum().float()])
        total, tokens_everywhere = self.accelerator.reduce(squares, reduction="sum")
        scale = (total / tokens_everywhere).sqrt().clamp_min(1e-4)
        output["advantages"] = output["advantages"].unsqueeze(1) + self.credit_weight * extra / scale
        return output

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Any:
        try:
            return super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        except (NonFiniteError, ModelError) as error:  # the latter of an estimator whose vectors are not finite
            rows = [
                {"prompt": prompt, "completion": completion, "completion_ids": list(ids)}
                for prompt, completion, ids in zip(prompts, completions, completion_ids_list, strict=True)
            ]
            scores = self.overton_reward.last_scores if isinstance(error, NonFiniteError) else []
            for row, score in zip(rows, scores, strict=False):
                row |= {"reward": plain(score.value), "terms": {k: plain(v) for k, v in score.terms.items()}}
            self.stop(str(error), rows, _REWARD_ADVICE)

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        # On a CPU, logits of the completion tokens alone, padding left out, take a fraction of the time of
        # TRL's tiles, which cover the padding and are computed twice.
        special = any(v is not None and v is not False for v in kwargs.values())
        if special or not self._plain_logits:
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, **kwargs
            )
        # Few rows at a time: what they take stays in the processor's cache and is not asked of the system anew. Those
        # of like length go together, so that little is padding; few widths, since oneDNN compiles for each new one.
        width, prompt = input_ids.shape[1], input_ids.shape[1] - logits_to_keep
        ends = (attention_mask * torch.arange(1, width + 1)).amax(dim=1).clamp_min(prompt + 1)
        order = ends.argsort(stable=True)
        logps, entropies = [], []
        for rows in order.split(min(batch_size or len(order), _ROWS)):
            stop = min(-(-int(ends[rows].max()) // _WIDTH) * _WIDTH, width)
            ids, mask = input_ids[rows, :stop], attention_mask[rows, :stop]
            kept = mask[:, prompt:].bool()
            chosen, entropy = [], []
            with self.accelerator.autocast():
                causal = self.accelerator.unwrap_model(model)
                hidden = causal.get_decoder()(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
                before = in_blocks(hidden[:, prompt - 1 : -1][kept])
                for block, tokens in zip(before, in_blocks(ids[:, prompt:][kept]), strict=True):
                    logits = causal.get_output_embeddings()(block).float().div_(self.temperature)
                    scaled = torch.log_softmax(logits, dim=-1)
                    chosen.append(scaled.gather(-1, tokens.unsqueeze(-1)).squeeze(-1))
                    if compute_entropy:
                        with torch.set_grad_enabled(bool(self.args.entropy_coef) and torch.is_grad_enabled()):
                            entropy.append(-(scaled.exp() * scaled).sum(-1))
            whole = attention_mask[rows, prompt:].bool()
            logps.append(torch.zeros(whole.shape).masked_scatter(whole, torch.cat(chosen)))
            if compute_entropy:
                entropies.append(torch.zeros(whole.shape).masked_scatter(whole, torch.cat(entropy)))
        back = order.argsort()
        return torch.cat(logps)[back], torch.cat(entropies)[back] if compute_entropy else None, None

    def _decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """As in TRL.

        Raises:
            NonFiniteError: also of a weight, at the first pass of a step.
        """
        if not self._passes:  # the first pass of a step, which may generate
            self.check_weights()
        return super().training_step(*args, **kwargs)


def _tell_of_misses(credits: Sequence[Sequence[float]]) -> None:
    share, least = new_matches(credits)
    if share < least:
        say(
            f"OP-GRPO: {share:.0%} of the segments that the policy writes are new matches. As a miss is counted, one "
            f"more segment pays from {least:.0%} on, so answers will get shorter. To keep their length, give a miss "
            f"about {-share / (1 - share) or 0:.2g} (reward.overrides.miss_credit of preset overton) or set "
            "reward.credit_weight to 0; docs/reward.md, Credit per perspective.",
            style="yellow",
        )


def train_grpo(
    recipe: Recipe,
    situations: list[Situation],
    start: Path,
    estimator: SimilarityEstimator | None,
    folder: Path,
    background: Sequence[Situation] = (),
) -> None:
    """Train the SFT policy with the recipe's reward and save it to ``folder/model``.

    A killed run goes on from its last whole checkpoint in ``folder/checkpoints``.

    Args:
        recipe: sections ``policy``, ``reward`` and ``training.grpo``.
        situations: training situations with references.
        start: folder of the SFT model; with ``policy.lora_rank``, an adapter beside it is trained further instead.
        estimator: the calibrated similarity estimator; ``None`` when a server scores (``reward.placement``).
        folder: ``training/grpo`` of the run.
        background: situations that ``reward.background`` references are drawn from.

    Raises:
        RecipeError: fewer situations than a step asks, or prompts that do not fit into the model with an answer.
        NonFiniteError: a loss, gradient, reward or weight is NaN or infinite; the batch is saved.
    """
    options = recipe.training.grpo
    settle(situation_problems(recipe, len(situations)))
    set_seed(recipe.seed)
    # An adapter goes on as one: merged into a base of bfloat16 that is trained no further, much of it would be lost.
    adapter = adapter_of(start, recipe.policy)
    base = start if adapter is None else recipe.policy.model
    model, tokenizer = load_policy(base, training_dtype(recipe.policy), recipe.policy.load_in_4bit)
    dataset = Dataset.from_list(
        [
            {
                "prompt": build_prompt(s.text, recipe.policy.prompt_template, tokenizer),
                "situation": s.text,
                "situation_id": s.id,
                "references": [{"label": p.label, "explanation": p.explanation} for p in s.perspectives],
            }
            for s in situations
        ]
    )
    longest = longest_prompt(dataset["prompt"], tokenizer)
    settle(context_problems(recipe, longest, positions_of(model)))
    ignore_launchers_precision()
    args = GRPOConfig(**grpo_arguments(recipe, folder, longest))
    reward = TrlReward(
        placed_reward(recipe, estimator, str(args.device), background),
        folder / "completions",
        options.at_generations(options.log_completions_steps),
        options.max_completion_length,
    )
    trainer = OpGrpoTrainer(
        model=model if adapter is None else with_adapter(model, adapter, args),
        optimizers=(make_optimizer(model, options, recipe.policy.lora_rank), None),
        args=args,
        train_dataset=dataset,
        processing_class=tokenizer,
        peft_config=lora_config(recipe.policy) if adapter is None else None,
        callbacks=[MetricsFile(folder / "metrics.jsonl"), OwnRun()],
        reward=reward,
        credit_weight=recipe.reward.credit_weight,
        credit_discount=recipe.reward.credit_discount,
    )
    train_and_save(trainer, tokenizer, folder)


__all__ = ["OpGrpoTrainer", "train_grpo"]
