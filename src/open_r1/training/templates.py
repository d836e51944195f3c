"""The chat template used where a tokenizer has none: ChatML, with markers for the loss on assistant turns."""

from __future__ import annotations

from typing import Any

from open_r1.errors import ModelError
from open_r1.text.tags import TAGS, render_completion

CHATML = (
    "{%- for message in messages %}"
    "{%- if message['role'] == 'assistant' %}"
    "{{- '<|im_start|>assistant\n' }}"
    "{%- generation %}{{- message['content'] + '<|im_end|>' }}{%- endgeneration %}"
    "{{- '\n' }}"
    "{%- else %}"
    "{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)

CHATML_TOKENS = ("<|im_start|>", "<|im_end|>")


def check_template(tokenizer: Any, needs_thinking: bool = True) -> None:
    """ModelError when the tokenizer's chat template would lose the question, the thinking or the end of the turn."""
    question, answer = "What is six times seven?", render_completion("6 * 7 = 42", "42")
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    try:
        whole = tokenizer.apply_chat_template(messages, tokenize=False)
        prompt = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    except Exception as error:  # noqa: BLE001 - Jinja and templates fail in their own ways
        raise ModelError(
            f"the chat template can't be rendered: {error}; give a Jinja template with chat_template."
        ) from None
    if question not in whole or question not in prompt:
        raise ModelError(
            "the chat template leaves out the user's message, so the model would never see a problem; "
            "give a Jinja template that loops over 'messages' (a system prompt belongs in system_prompt)."
        )
    if needs_thinking and "6 * 7 = 42" not in whole:
        raise ModelError(
            "the chat template drops the thinking from the assistant's turn, so it would not be trained; "
            "give a chat_template that keeps message['content'] whole."
        )
    if prompt.rstrip().endswith(TAGS[0]):
        raise ModelError(
            f"the chat template already writes {TAGS[0]} for the model, so its completions lack the tag that the format "
            "rewards count; give a chat_template without that prefill."
        )
    if tokenizer.eos_token and tokenizer.eos_token not in whole[whole.index("42") :]:
        raise ModelError(
            f"the chat template does not end the assistant's turn with the end-of-sequence token {tokenizer.eos_token!r}, "
            "so the model would never learn to stop; set eos_token to the template's own, for example '<|im_end|>'."
        )
