"""A tokenizer and a small model made on the spot, saved as an ordinary Hugging Face folder.

Any text can be encoded; numbers up to 99, the tags of R1's format and the box are one token each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from open_r1.configs.fields import setting
from open_r1.configs.ranges import COUNT, POSITIVE
from open_r1.errors import ConfigError
from open_r1.text.tags import TAGS
from open_r1.training.models import CHATML, CHATML_TOKENS
from open_r1.training.unwrapping import unwrap_without_deepspeed

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

PADDING = "<|endoftext|>"
WORDS = r"\d{1,2}| ?[-+*/=] ?| ?[A-Za-z]+|\n| +|[^\sA-Za-z\d]"
"""What the tokenizer never merges across: one- and two-digit numbers, operators and words with their spaces, symbols."""

NUMBERS = [f"{number} {number}" for number in range(100)] * 50
"""Text that makes every number up to 99 a token, however rare it is in the traces."""


@dataclass(frozen=True)
class ModelShape:
    """Shape of a small model. vLLM serves one with a head size of 32 or more."""

    architecture: Literal["qwen3", "qwen2"] = setting("qwen3", "Whose layers it has.")
    hidden_size: int = setting(96, "Width of the residual stream.", COUNT)
    num_layers: int = setting(2, "Layers.", COUNT)
    num_heads: int = setting(4, "Heads of queries.", COUNT)
    num_key_value_heads: int = setting(2, "Heads of keys and values.", COUNT)
    head_dim: int | None = setting(
        None, "Qwen3's head size; hidden_size / num_heads where it is not given, and always in Qwen2.", COUNT
    )
    intermediate_size: int = setting(256, "Width inside the feed-forward layers.", COUNT)
    max_positions: int = setting(512, "Longest context, in tokens.", COUNT)
    initializer_range: float = setting(0.1, "Standard deviation of the random weights.", POSITIVE)
    rope_theta: float = setting(10000.0, "Base of the rotary positions.", POSITIVE)
    tie_word_embeddings: bool = setting(False, "One matrix for input and output embeddings.")
    vocab_size: int = setting(640, "Tokens of the vocabulary.", COUNT)

    def __post_init__(self) -> None:
        if self.num_heads % self.num_key_value_heads:
            raise ConfigError(
                f"num_heads {self.num_heads} must be a multiple of num_key_value_heads {self.num_key_value_heads}."
            )
        if self.head_dim is None and self.hidden_size % self.num_heads:
            raise ConfigError(f"hidden_size {self.hidden_size} must be a multiple of num_heads {self.num_heads}.")
        if self.head_dim is not None and self.architecture == "qwen2":
            raise ConfigError(
                f"head_dim is {self.head_dim}, but qwen2 has heads of hidden_size / num_heads; leave it out or choose qwen3."
            )
        if self.head_size % 2:
            raise ConfigError(f"heads of {self.head_size} can't have rotary positions; choose an even size.")

    @property
    def head_size(self) -> int:
        """Size of an attention head: `head_dim`, or an equal part of the hidden size."""
        return self.head_dim or self.hidden_size // self.num_heads


def make_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on `texts`, with ChatML as its chat template."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # type: ignore[assignment]
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PADDING, *CHATML_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        min_frequency=20,
    )
    tokenizer.train_from_iterator([*NUMBERS, *texts], trainer)
    tokenizer.add_tokens([*TAGS, "\\boxed{"])
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=CHATML_TOKENS[1],
        pad_token=PADDING,
        additional_special_tokens=[CHATML_TOKENS[0]],
        padding_side="left",
    )
    made.chat_template = CHATML
    return made


def make_model(shape: ModelShape, tokenizer: PreTrainedTokenizerFast, seed: int) -> PreTrainedModel:
    """A model of that shape with random weights from `seed`, in float32."""
    from transformers import AutoModelForCausalLM, Qwen2Config, Qwen3Config, set_seed

    common = {
        "vocab_size": -(-len(tokenizer) // 64) * 64,
        "hidden_size": shape.hidden_size,
        "num_hidden_layers": shape.num_layers,
        "num_attention_heads": shape.num_heads,
        "num_key_value_heads": shape.num_key_value_heads,
        "intermediate_size": shape.intermediate_size,
        "max_position_embeddings": shape.max_positions,
        "initializer_range": shape.initializer_range,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_theta},
        "tie_word_embeddings": shape.tie_word_embeddings,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
    }
    is_qwen3 = shape.architecture == "qwen3"
    config = Qwen3Config(head_dim=shape.head_size, **common) if is_qwen3 else Qwen2Config(**common)
    set_seed(seed)
    return AutoModelForCausalLM.from_config(config).float()


def make_model_folder(folder: Path, texts: Iterable[str], shape: ModelShape, seed: int) -> int:
    """Write tokenizer and model to `folder`; returns the number of parameters."""
    unwrap_without_deepspeed()
    tokenizer = make_tokenizer(texts, shape.vocab_size)
    model = make_model(shape, tokenizer, seed)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model.num_parameters()
