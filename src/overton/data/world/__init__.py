"""The bundled world: moral situations whose human perspectives are known exactly."""

from overton.data.world.content import Circumstance, Kind, Value, World, load_world
from overton.data.world.generate import Splits, check_leaks, make_world

__all__ = ["Circumstance", "Kind", "Splits", "Value", "World", "check_leaks", "load_world", "make_world"]
