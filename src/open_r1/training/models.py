"""Models and tokenizers: loading any local or Hub model as the guide does, and bringing its special tokens in line."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.errors import ModelError, RunFolderError, nearest
from open_r1.hub.folders import base_of_adapter, check_model_path, model_files
from open_r1.rundir import RunDir, hash_files, read_json, write_json
from open_r1.text.tags import TAGS, render_completion
from open_r1.training.unwrapping import unwrap_without_deepspeed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

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


def get_tokenizer(model_args: Any, training_args: Any, trains_on_thinking: bool = True) -> PreTrainedTokenizerBase:
    """The model's tokenizer with the settings' chat template and end-of-sequence token, or ChatML where it has none.

    `trains_on_thinking` is for SFT, whose template must keep the thinking of the assistant's turn.
    """
    from transformers import AutoTokenizer

    check_model_path(model_args.model_name_or_path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            model_args.model_name_or_path,
            revision=model_args.model_revision,
            trust_remote_code=getattr(training_args, "trust_remote_code", False),
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"no tokenizer could be loaded from '{model_args.model_name_or_path}': {one_line(error)}"
        ) from None
    tokenizer.chat_template = training_args.chat_template or tokenizer.chat_template
    if tokenizer.chat_template is None:
        logger.info("The tokenizer has no chat template: using ChatML.")
        tokenizer.add_special_tokens({"additional_special_tokens": list(CHATML_TOKENS)})
        tokenizer.chat_template = CHATML
        tokenizer.eos_token = CHATML_TOKENS[1]
    align_end_of_sequence(tokenizer, getattr(training_args, "eos_token", None))
    check_template(tokenizer, trains_on_thinking)
    return tokenizer


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


def align_end_of_sequence(tokenizer: Any, eos_token: str | None) -> None:
    """Make the end-of-sequence token the one asked for, and padding another than it."""
    if eos_token is not None:
        if tokenizer.convert_tokens_to_ids(eos_token) in (None, tokenizer.unk_token_id):
            raise ModelError(f"eos_token {eos_token!r} is not in the tokenizer's vocabulary; choose one that is.")
        tokenizer.eos_token = eos_token
    if tokenizer.eos_token is None:
        raise ModelError("the tokenizer has no end-of-sequence token; set eos_token.")
    if tokenizer.pad_token is None or tokenizer.pad_token == tokenizer.eos_token:
        candidates, known = ("<|endoftext|>", "<|end_of_text|>", "<pad>", "<|pad|>"), tokenizer.get_vocab()
        free = [token for token in candidates if token in known and token != tokenizer.eos_token]
        tokenizer.pad_token = free[0] if free else tokenizer.eos_token


def get_model(model_args: Any, training_args: Any) -> Any:
    """The model with the guide's loading options: dtype, attention, revision, quantization, cache.

    A folder with a LoRA adapter gives its base model with the adapter: trained further under `use_peft`, merged
    into the weights otherwise.
    """
    import torch
    from accelerate import PartialState
    from transformers import AutoModelForCausalLM
    from trl import get_quantization_config

    unwrap_without_deepspeed()
    quantization = get_quantization_config(model_args)
    dtype = model_args.dtype if model_args.dtype in ("auto", None) else getattr(torch, model_args.dtype)
    options = {
        "revision": model_args.model_revision,
        "trust_remote_code": getattr(training_args, "trust_remote_code", False),
        "attn_implementation": model_args.attn_implementation,
        "dtype": dtype,
        "use_cache": not training_args.gradient_checkpointing,
        "device_map": {"": PartialState().local_process_index} if quantization is not None else None,
        "quantization_config": quantization,
    }
    name = model_args.model_name_or_path
    if Path(name).is_dir():
        name = str(Path(name).resolve())  # an adapter keeps this path, and is loaded from any folder
    try:
        if (Path(name) / "adapter_config.json").exists():
            return load_adapter(name, options, is_trainable=model_args.use_peft)
        return AutoModelForCausalLM.from_pretrained(name, **options)
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"no model could be loaded from '{name}': {one_line(error)}") from None


def load_adapter(folder: str, options: dict[str, Any], is_trainable: bool) -> Any:
    """The base model that an adapter was trained on, with that adapter."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    unwrap_without_deepspeed()
    base = base_of_adapter(Path(folder))
    check_model_path(base)
    whole = AutoModelForCausalLM.from_pretrained(base, **options)
    model = PeftModel.from_pretrained(whole, folder, is_trainable=is_trainable)
    return model if is_trainable else model.merge_and_unload().requires_grad_(True)


def new_adapter(model: Any, model_args: Any) -> Any:
    """The LoRA adapter to put on a model, or None: without `use_peft`, or when the model already carries one.

    ModelError for a target that the model does not have.
    """
    from peft import PeftModel
    from trl import get_peft_config

    adapter: Any = None if isinstance(model, PeftModel) else get_peft_config(model_args)
    if adapter is not None and model_args.lora_target_modules not in (None, "all-linear"):
        adapter.target_modules = known_targets(model, model_args.lora_target_modules)
    return adapter


def known_targets(model: Any, wanted: str | list[str]) -> str | set[str]:
    """The modules that LoRA changes, by the end of their names; one text may be a pattern of whole names."""
    modules = dict(model.named_modules())
    if isinstance(wanted, str) and any(re.fullmatch(wanted, name) for name in modules):
        return wanted
    targets = {wanted} if isinstance(wanted, str) else set(wanted)
    for target in sorted(targets):
        if not any(f".{name}".endswith(f".{target}") for name in modules):
            leaves = sorted({name.rpartition(".")[2] for name, module in modules.items() if hasattr(module, "weight")})
            raise ModelError(
                f"lora_target_modules names '{target}', which the model does not have{nearest(target, leaves)} "
                f"It has: {', '.join(leaves)}; all-linear takes every linear layer."
            )
    return targets


def report_trainable(model: Any, report: Any) -> None:
    """Says which share of the parameters is trained, where it isn't all of them."""
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    total, trained = sum(count for count, _ in counts), sum(count for count, is_trained in counts if is_trained)
    if trained < total:
        report(f"{trained:,} of {total:,} parameters are trained ({trained / total:.2%})")


def merge_adapter(folder: Path, output_dir: Path) -> None:
    """Write the base model with an adapter's weights added, its tokenizer and the records of its training.

    ModelError for a folder without an adapter, or whose base can't be found.
    """
    from transformers import AutoTokenizer

    if not (folder / "adapter_config.json").is_file():
        raise ModelError(f"'{folder}' contains no LoRA adapter (adapter_config.json), so there is nothing to merge.")
    output = RunDir(output_dir)
    if output_dir.is_dir() and any(output_dir.iterdir()):
        raise RunFolderError(f"'{output_dir}' is not empty; choose another folder for the merged model.")
    with output.locked():
        model = load_adapter(str(folder), {"dtype": "auto"}, is_trainable=False)
        model.save_pretrained(output_dir)
        AutoTokenizer.from_pretrained(folder).save_pretrained(output_dir)
        for name in ("resolved.yaml", "environment.json"):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, output_dir / name)
        record = read_json(folder / "done.json") if (folder / "done.json").is_file() else {}
        merged = {
            "weights": hash_files(output_dir.glob("*.safetensors")),
            "merged": hash_files(model_files(str(folder))),
        }
        write_json(output.done, record | merged)


def align_model(model: Any, tokenizer: Any, model_args: Any) -> None:
    """The model's embedding size and special tokens follow the tokenizer's.

    ModelError where new tokens would need new embeddings that a LoRA adapter neither trains nor saves.
    """
    known = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > known and model_args.use_peft:
        raise ModelError(
            f"the tokenizer has {len(tokenizer)} tokens but the model only {known} embeddings, and a LoRA adapter would not "
            "save the new ones; set use_peft false, or start from a model whose tokenizer has a chat template."
        )
    if len(tokenizer) > known:
        model.resize_token_embeddings(len(tokenizer))
    for config in (model.config, model.generation_config):
        config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id


def one_line(error: Exception) -> str:
    """The error's message in one line that ends in a full stop."""
    text = " ".join(str(error).split())
    return text if text.endswith(".") else f"{text}."
