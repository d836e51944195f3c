"""A sequence-classification model that scores conversations, as TRL's GRPOTrainer takes one for a reward.

Its one logit is the value. Every process has the whole model, on its own device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from jinja2 import TemplateError

from open_r1.errors import ConfigError, ModelError

BATCH_SIZE = 16


class RewardModel:
    """A model with one label and its tokenizer."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        model.config.get_text_config().pad_token_id = tokenizer.pad_token_id  # the logit is read before the padding

    @torch.inference_mode()
    def score(self, conversations: Sequence[str | list[dict[str, Any]]]) -> list[float]:
        """The logit of each conversation: of a chat by the model's own template, of a text as it is. It may be NaN.

        RuntimeError for a conversation that the template refuses.
        """
        scores: list[float] = []
        for start in range(0, len(conversations), BATCH_SIZE):
            texts = [self._as_text(one) for one in conversations[start : start + BATCH_SIZE]]
            batch = self.tokenizer(
                texts, return_tensors="pt", padding=True, padding_side="right", add_special_tokens=False
            )
            inputs = {name: batch[name].to(self.model.device) for name in ("input_ids", "attention_mask")}
            scores += self.model(**inputs).logits[:, 0].float().tolist()
        return scores

    def _as_text(self, conversation: str | list[dict[str, Any]]) -> str:
        if isinstance(conversation, str):
            return conversation
        if not self.tokenizer.chat_template:
            raise ConfigError(
                f"the reward model '{self.model.name_or_path}' has no chat template, but prompts are chats; give its "
                "tokenizer one, or choose another reward model."
            )
        try:
            return self.tokenizer.apply_chat_template(conversation, tokenize=False)
        except (TemplateError, TypeError, ValueError) as error:  # its own refusal, or turns that it can't show
            raise RuntimeError(f"the reward model's chat template refuses a conversation: {error}") from error


@cache
def load_reward_model(name: str) -> RewardModel:
    """The model in a folder or on the Hub, once a process. ModelError where it can't be loaded or has no trained head."""
    from accelerate import PartialState
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        with _whole_weights():
            model, loaded = AutoModelForSequenceClassification.from_pretrained(
                name, num_labels=1, output_loading_info=True
            )
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"the reward model '{name}' can't be loaded: {error}.") from error
    if missing := sorted(loaded["missing_keys"]):
        raise ModelError(
            f"the reward model '{name}' has no trained head: its weights lack {', '.join(missing[:3])}; give a "
            "sequence-classification model with one label."
        )
    return RewardModel(model.to(PartialState().device), tokenizer)


@contextmanager
def _whole_weights() -> Iterator[None]:
    """Loading as outside DeepSpeed: under ZeRO-3 transformers would split the weights over the processes."""
    from transformers.integrations import deepspeed

    reference = deepspeed._hf_deepspeed_config_weak_ref
    config = reference() if reference is not None else None
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        if config is not None:
            deepspeed.set_hf_deepspeed_config(config)
