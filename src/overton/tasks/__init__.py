"""The benchmark as tasks of other people's harnesses: Inspect and lm-evaluation-harness (docs/benchmark_tasks.md).

``FOLDER`` holds ``overton.yaml``, which lm-evaluation-harness finds with ``--include_path``; ``python -m
overton.tasks`` prints it.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
