"""YAML whose keys stand once: the library alone keeps the last of two, and a recipe's first section would be lost."""

from __future__ import annotations

from typing import Any

import yaml

from overton.errors import RecipeError

_MERGE = "tag:yaml.org,2002:merge"


class _TwiceError(Exception):
    pass


class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: Any) -> Any:
        """As in the library; looked at here, since `<<` has not yet added keys, which may well stand again."""
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            name, line = (key.tag, key.value), key.start_mark.line + 1
            if name in lines:
                where = f"lines {lines[name]} and {line}" if lines[name] != line else f"line {line}"
                raise _TwiceError(f"{key.value}: this key stands twice in one place ({where}); put both parts into one")
            lines[name] = line
        return node


def read_yaml(text: str, where: str) -> Any:
    """Read YAML, or JSON, without Python objects.

    Args:
        text: of one document.
        where: file or option it comes from, for messages.

    Raises:
        RecipeError: a mapping has a key twice.
        yaml.YAMLError: it is not YAML, is nested too deeply, or holds a value that Python cannot.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # a subclass of the safe one
    except RecursionError:
        raise yaml.YAMLError("nested too deeply to be read") from None
    except ValueError as error:  # a number of thousands of digits, a date that is none
        raise yaml.YAMLError(str(error)) from None
    except _TwiceError as error:
        raise RecipeError(f"{where}: {error}") from None
