"""Training: supervised fine-tuning, then OP-GRPO, both with TRL's trainers."""
