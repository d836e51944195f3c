"""Completions from vLLM's engine in this process, without a server: one machine, one command."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import compress
from typing import Any

from open_r1.errors import ModelError
from open_r1.generation.protocol import Prompt, Sampling, TemplatedGenerator, to_messages
from open_r1.generation.vllm_on_cpu import cpu_defaults
from open_r1.hub.folders import check_model_path, without_template
from open_r1.records import Completion
from open_r1.text.thinking import with_opening


class VLLMGenerator(TemplatedGenerator):
    """A loaded engine; `options` are those of `vllm.LLM`."""

    def __init__(self, model: str, **options: Any) -> None:
        check_model_path(model)
        from vllm import LLM  # pyright: ignore[reportMissingImports]
        from vllm.platforms import current_platform  # pyright: ignore[reportMissingImports]

        defaults = cpu_defaults(options) if current_platform.is_cpu() else {}
        try:
            self.engine = LLM(model, **({"seed": random.randrange(2**31)} | defaults | options))
        except Exception as error:  # noqa: BLE001 - a damaged folder fails in each library's own way
            raise ModelError(f"vLLM can't load '{model}': {' '.join(str(error).split())}") from None
        self.tokenizer = self.engine.get_tokenizer()
        if getattr(self.tokenizer, "chat_template", "its own") is None:
            raise without_template(model)

    def generate_each(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Completion]]:
        """Each prompt by its own sampling and seed, whatever else is in the batch; one that is refused gets none."""
        from vllm import SamplingParams  # pyright: ignore[reportMissingImports]

        taken = [self.takes(prompt) for prompt in prompts]
        samplings = list(compress(samplings, taken))
        if not samplings:
            return [[] for _ in prompts]
        wanted = [
            SamplingParams(
                n=sampling.num_samples,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                max_tokens=sampling.max_new_tokens,
                seed=sampling.seed,
            )
            for sampling in samplings
        ]
        conversations: Any = [to_messages(prompt) for prompt in compress(prompts, taken)]
        outputs = self.engine.chat(conversations, wanted, use_tqdm=False)
        opened = [self.opened_by(output.prompt_token_ids or ()) for output in outputs]
        completed = (
            [
                Completion(
                    with_opening(sample.text, tag),
                    len(sample.token_ids),
                    "stop" if sample.finish_reason == "stop" else "length",  # anything but a stop counts as cut off
                )
                for sample in output.outputs
            ]
            for output, tag in zip(outputs, opened, strict=True)
        )
        return [next(completed) if is_taken else [] for is_taken in taken]

    def takes(self, prompt: Prompt) -> bool:
        """Whether the chat template and the context take a prompt; vLLM would end the batch for one they don't."""
        try:
            self.encode(prompt)
        except ModelError:
            return False
        return True

    def context_length(self) -> int:
        """Tokens of prompt and completion together that the engine takes."""
        return self.engine.llm_engine.model_config.max_model_len
