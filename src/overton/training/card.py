"""The model card of a trained policy: what it comes from and how it is asked."""

from __future__ import annotations

from pathlib import Path

from overton.folders import shown_model
from overton.jsonio import write_text
from overton.recipe import Recipe

_NAMES = {"sft": "supervised fine-tuning", "grpo": "supervised fine-tuning and OP-GRPO"}


def write_card(folder: Path, recipe: Recipe, part: str) -> None:
    """Write ``README.md`` as the hub reads it. It holds no path and no figures, since evaluation comes later.

    Args:
        folder: of the saved model.
        recipe: that it was trained with.
        part: ``sft`` or ``grpo``.
    """
    from huggingface_hub import ModelCardData

    name, used = recipe.policy.model, recipe.generation
    scratch = name == "scratch"
    own = not scratch and any(path.exists() for path in recipe.policy.outside)
    data = ModelCardData(
        base_model=None if scratch or own else name,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["overton", part],
    )
    start = "random weights" if scratch else shown_model(name)
    reward = f", reward preset `{recipe.reward.preset}`" if part == "grpo" else ""
    asked = recipe.policy.prompt_template.replace("{situation}", "A nurse reads the diary of a patient in secret.")
    chat = (folder / "chat_template.jinja").is_file()  # as :func:`overton.prompting.build_prompt`
    prompt = f'[{{"role": "user", "content": {asked!r}}}]' if chat else repr(asked + "\n")
    # Without the last two, transformers takes its own or the base's (top-k of 50, say), and the run did not.
    draw = f"do_sample=True, temperature={used.temperature:g}, top_p={used.top_p:g}, top_k=0, repetition_penalty=1.0"
    text = f"""---
{data.to_yaml()}
---
# A policy that answers with several perspectives

From {start}, by {_NAMES[part]} with Overton (data source `{recipe.data.source}`, seed {recipe.seed}{reward}).

It was trained with this form of prompt{", as one user turn" if chat else ", which ends with a line break"}:

```python
from transformers import pipeline  # FOLDER: this folder, or its name on the hub

ask = pipeline("text-generation", model="FOLDER")
prompt = {prompt}
settings = dict(max_new_tokens={used.max_new_tokens}, {draw})
print(ask(prompt, return_full_text=False, **settings)[0]["generated_text"])
```

This card names no licence, since the base and the data decide it, and no figures: they are in the run's report.
"""
    write_text(folder / "README.md", text)
