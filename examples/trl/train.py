"""Coverage, uniqueness and form as three objectives of TRL's trainer, each normalized by itself (GDPO).

python make_data.py
OVERTON_REWARD=reward.yaml python train.py
"""

import argparse

from datasets import load_dataset
from trl import GRPOConfig, GRPOTrainer

from overton.integrations.trl import CheckGroups, coverage, form, uniqueness


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="Qwen/Qwen2.5-0.5B-Instruct")
    parser.add_argument("--max-steps", type=int, default=100)
    parser.add_argument("--max-completion-length", type=int, default=400)
    parser.add_argument("--cpu", action="store_true", help="train on the CPU")
    options = parser.parse_args()

    args = GRPOConfig(
        output_dir="runs/trl-objectives",
        max_steps=options.max_steps,
        max_completion_length=options.max_completion_length,
        learning_rate=1e-6,
        per_device_train_batch_size=8,
        gradient_accumulation_steps=4,
        num_generations=8,
        multi_objective_aggregation="normalize_then_sum",
        reward_weights=[1.0, 0.5, 0.5],
        logging_steps=1,
        log_completions=True,
        num_completions_to_print=2,
        report_to="none",
        use_cpu=options.cpu,
        bf16=not options.cpu,
    )
    trainer = GRPOTrainer(
        model=options.model,
        args=args,
        train_dataset=load_dataset("json", data_files="questions.jsonl", split="train"),
        reward_funcs=[coverage, uniqueness, form],
        callbacks=[CheckGroups()],
    )
    trainer.train()
    trainer.save_model()


if __name__ == "__main__":
    main()
