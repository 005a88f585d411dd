"""Keys and values of generated tokens, with room for those to come.

transformers' own cache copies all of them for each new token, which on a CPU is a sixth of the time of a small model.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache, GenerationConfig
from transformers.cache_utils import DynamicLayer

_ROOM = 32  # tokens


class RoomyLayer(DynamicLayer):
    """One layer's keys and values, each (batch, heads, tokens, head size): a part of a larger tensor.

    Whoever sets ``keys`` or ``values`` to other tensors, as a batch that shrinks does, is followed.
    """

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self._room: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append (batch, heads, new tokens, head size), and return all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys = self._appended("keys", self.keys, key_states)
        self.values = self._appended("values", self.values, value_states)
        return self.keys, self.values

    def _appended(self, name: str, old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        count = old.shape[-2] if old.numel() else 0
        total = count + new.shape[-2]
        buffer, filled = self._room.get(name, (None, None))
        if buffer is None or filled is not old or total > buffer.shape[-2]:
            buffer = new.new_empty(*new.shape[:2], total + _ROOM, new.shape[-1])
            if count:
                buffer[:, :, :count] = old
        buffer[:, :, count:total] = new
        self._room[name] = (buffer, buffer[:, :, :total])
        return self._room[name][1]


def roomy_cache(model: Any, config: GenerationConfig) -> DynamicCache | None:
    """An empty cache for a causal model; ``None`` where ``generate`` makes its own: another kind of cache is asked for,
    or none, or a layer needs one (sliding windows, linear attention)."""
    if config.use_cache is False or config.cache_implementation:
        return None
    cache = DynamicCache(config=model.config.get_text_config(decoder=True))
    if not cache.layers or any(type(layer) is not DynamicLayer for layer in cache.layers):
        return None
    cache.layers = [RoomyLayer() for _ in cache.layers]
    return cache
