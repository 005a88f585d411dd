"""Print the folder to give lm-evaluation-harness as ``--include_path``."""

from overton.tasks import FOLDER

print(FOLDER)
