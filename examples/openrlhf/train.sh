#!/usr/bin/env bash
# Group-normalized policy gradient in OpenRLHF 0.11 with Overton's reward, on one machine with GPUs.
#
#   pip install "openrlhf[vllm]==0.11.0"           # in an environment of its own; it pins transformers
#   pip install "PATH/TO/overton[offline]"         # the reward; [offline] brings the weights of all-MiniLM-L6-v2
#   examples/openrlhf/train.sh                     # more settings of OpenRLHF may follow
#
# OVERTON_REWARD names the reward: a run of Overton, an estimator's folder or a settings file. Without it the
# untuned all-MiniLM-L6-v2 compares sentences.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
model=${MODEL:-Qwen/Qwen2.5-0.5B-Instruct}
data=${DATA:-$here/data}
gpus=${GPUS:-1}

python "$here/prepare.py" "${SITUATIONS:-$here/../situations.jsonl}" "$data/train.jsonl"

# OpenRLHF loads the reward by its path, in every rollout engine. The path must hold no comma.
reward=$(python -c 'import overton.integrations.openrlhf as module; print(module.__file__)')

python -m openrlhf.cli.train_ppo_ray \
    --actor.model_name_or_path "$model" \
    --actor.num_gpus_per_node "$gpus" \
    --actor.adam.lr 1e-6 \
    --train.colocate_all \
    --vllm.num_engines "$gpus" \
    --vllm.gpu_memory_utilization 0.5 \
    --vllm.enable_sleep \
    --data.prompt_dataset "$data/train.jsonl" \
    --data.input_key input \
    --data.label_key label \
    --data.apply_chat_template \
    --data.max_len 768 \
    --reward.remote_url "$reward" \
    --algo.advantage.estimator group_norm \
    --algo.kl.init_coef 0 \
    --rollout.n_samples_per_prompt 8 \
    --rollout.batch_size 8 \
    --rollout.micro_batch_size 4 \
    --train.batch_size 64 \
    --train.micro_batch_size 4 \
    --train.num_episodes 1 \
    --ckpt.output_dir "$data/model" \
    "$@"
