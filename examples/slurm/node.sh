#!/bin/bash
# What one node runs; started by srun on each of them. HOST, PORT, NODES, GPUS, CONFIG and RUN come from the job's script.
set -euo pipefail

exec accelerate launch \
    --config_file "$CONFIG" \
    --num_machines "$NODES" \
    --num_processes "$((NODES * GPUS))" \
    --machine_rank "$SLURM_PROCID" \
    --main_process_ip "$HOST" \
    --main_process_port "$PORT" \
    -m overton run "$1" --run-dir "$RUN" "${@:2}"
