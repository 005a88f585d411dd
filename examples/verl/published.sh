#!/usr/bin/env bash
# The published OP-GRPO set-up (arXiv 2602.20759) in verl 0.9.1: Qwen2.5-3B, 1,024 prompts a step, 10 answers each,
# learning rate 1e-6, KL loss 0.001 (low variance), prompts of 512 and answers of 800 tokens.
#
#   examples/verl/published.sh RECIPE              # the prompts of a recipe's train split, in the run directory
#   RAY_ADDRESS=http://HEAD:8265 NODES=4 examples/verl/published.sh RECIPE      # as a job on a Ray cluster
#
# RECIPE is, for example, recipes/qwen2.5-3b.yaml. MODEL is where GRPO starts from: the SFT model of a run,
# RUN/training/sft/model. REWARD is what compute_score loads: a run (its calibrated estimator), an estimator's folder or
# a settings file. Both are paths that every node sees. More settings of verl may follow.
#
# A cluster is started with `ray start --head` on the first node and `ray start --address=HEAD:6379` on the others, in
# the environment of verl on each of them.
#
# Hardware: 4 GPUs of 80 GB, as published; GPUS and NODES change it. Prompts have to be a multiple of GPUS x NODES.
# Memory, time: not estimated for verl; docs/scale.md estimates the same step with TRL. Figures: not measured here; the
#           paper's are for its own data and do not carry over.
# Was run:  verl's command line takes these settings, and data, reward and advantages pass through verl's own code with
#           a tiny model (`make contract`). The training was not run: it needs GPUs.
set -euo pipefail
recipe=${1:?give a recipe}
shift
model=${MODEL:-Qwen/Qwen2.5-3B-Instruct}
data=${DATA:-$PWD/runs/verl-data}
gpus=${GPUS:-4}
nodes=${NODES:-1}
reward=${REWARD:-}

python -m overton data "$recipe" --export verl --output "$data" ${RUN_DIR:+--run-dir "$RUN_DIR"}

command=(python -m verl.trainer.main_ppo
    "data.train_files='$data/train.parquet'"
    "data.val_files='$data/val.parquet'"
    data.train_batch_size=1024
    data.max_prompt_length=512
    data.max_response_length=800
    data.filter_overlong_prompts=true
    "actor_rollout_ref.model.path='$model'"
    actor_rollout_ref.model.enable_gradient_checkpointing=true
    actor_rollout_ref.actor.optim.lr=1e-6
    actor_rollout_ref.actor.ppo_mini_batch_size=1024
    actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=16
    actor_rollout_ref.actor.use_kl_loss=true
    actor_rollout_ref.actor.kl_loss_coef=0.001
    actor_rollout_ref.actor.kl_loss_type=low_var_kl
    actor_rollout_ref.actor.entropy_coeff=0
    actor_rollout_ref.rollout.name=vllm
    actor_rollout_ref.rollout.n=10
    actor_rollout_ref.rollout.tensor_model_parallel_size=1
    actor_rollout_ref.rollout.gpu_memory_utilization=0.6
    actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=32
    actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=32
    algorithm.adv_estimator=grpo
    algorithm.use_kl_in_reward=false
    reward.num_workers=8
    reward.custom_reward_function.path=pkg://overton.integrations.verl
    reward.custom_reward_function.name=compute_score
    +reward.custom_reward_function.reward_kwargs.preset=op-grpo
    trainer.n_gpus_per_node="$gpus"
    trainer.nnodes="$nodes"
    trainer.total_training_steps=150
    trainer.save_freq=10
    trainer.test_freq=10
    trainer.project_name=overton
    trainer.experiment_name=op-grpo
    'trainer.logger=["console"]')
if [ -n "$reward" ]; then
    command+=("+reward.custom_reward_function.reward_kwargs.reward='$reward'")
fi

if [ -n "${RAY_ADDRESS:-}" ]; then
    exec ray job submit --address "$RAY_ADDRESS" -- "${command[@]}" "$@"
fi
exec "${command[@]}" "$@"
