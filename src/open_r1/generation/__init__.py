"""One protocol for everything that completes prompts; see `protocol.py`."""

from open_r1.generation.protocol import Generator, Sampling
from open_r1.generation.scripted import ScriptedGenerator

__all__ = ["Generator", "Sampling", "ScriptedGenerator"]
