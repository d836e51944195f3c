"""Data: sources, mixtures, conversations. Knows `datasets`, never torch."""

from open_r1.data.conversations import to_conversations, to_prompts
from open_r1.data.sources import get_dataset

__all__ = ["get_dataset", "to_conversations", "to_prompts"]
