"""Settings that the libraries read only when they train: each is tried when a stage is parsed, with no model loaded."""

from __future__ import annotations

import importlib.util
import inspect
import re
from typing import Any

from open_r1.errors import ConfigError, nearest

NO_VLLM = "use_vllm is true but vllm isn't installed here; run in the checkout: pip install -e '.[vllm]'."


def lacks_vllm(training: Any) -> bool:
    """Whether a stage can't train on this machine for want of vLLM; its settings may still be used elsewhere."""
    return bool(getattr(training, "use_vllm", False)) and importlib.util.find_spec("vllm") is None


def check_libraries(training: Any, model: Any) -> None:
    """ConfigError for the first setting that a library would refuse while it trains."""
    check_scheduler(training)
    check_optimizer(training)
    check_attention(model.attn_implementation)
    check_quantization(model)
    if model.use_peft:
        check_adapter(model)
    if training.torch_compile_backend and training.torch_compile:
        check_compile(training.torch_compile_backend)
    if hasattr(training, "num_generations"):
        check_generation(training)


def check_scheduler(training: Any) -> None:
    """ConfigError for lr_scheduler_kwargs that the scheduler does not take; one is made to find out."""
    from torch import nn, optim
    from transformers import get_scheduler
    from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION

    name, options = training.lr_scheduler_type, training.lr_scheduler_kwargs
    optimizer = optim.SGD([nn.Parameter()], lr=training.learning_rate)
    try:
        get_scheduler(name, optimizer, num_warmup_steps=1, num_training_steps=10, scheduler_specific_kwargs=options)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        taken = list(inspect.signature(TYPE_TO_SCHEDULER_FUNCTION[name]).parameters)
        own = [
            key for key in taken if key not in ("optimizer", "num_warmup_steps", "num_training_steps", "last_epoch")
        ]
        raise ConfigError(
            f"lr_scheduler_kwargs = {options} can't be used with {name.value}: {error}; it takes {', '.join(own) or 'none'}."
        ) from None


def check_optimizer(training: Any) -> None:
    """ConfigError for an optimizer whose package is not installed, or for optim_args that it does not take.

    One that is made from the model's layers (GaLore, APOLLO, LOMO) is tried as far as that goes without a model.
    """
    from transformers import Trainer

    try:
        Trainer.get_optimizer_cls_and_kwargs(training)
    except (ImportError, ValueError, TypeError, KeyError, IndexError) as error:
        if "model" in str(error).lower() and not isinstance(error, ImportError):
            return
        given = f" with optim_args = {training.optim_args!r}" if training.optim_args else ""
        raise ConfigError(
            f"optim = {training.optim.value}{given} can't be used here: {one_sentence(error)}; "
            "install what it needs, or use adamw_torch."
        ) from None


def check_attention(name: str | None) -> None:
    """ConfigError for an attention that transformers doesn't have; a kernel of the Hub is named organization/kernel."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    known = ["eager", *ALL_ATTENTION_FUNCTIONS.valid_keys()]
    if name is None or name in known:
        return
    if "/" not in name:
        raise ConfigError(
            f"attn_implementation = {name!r} is not an attention of transformers{nearest(name, known)} "
            f"Known: {', '.join(known)}, and a kernel of the Hub as organization/kernel."
        )
    if importlib.util.find_spec("kernels") is None:
        raise ConfigError(
            f"attn_implementation = {name!r} is a kernel of the Hub, which the package kernels loads, and that is not "
            "installed; run pip install kernels, or set attn_implementation sdpa."
        )


def check_quantization(model: Any) -> None:
    """ConfigError where weights are to be quantized without bitsandbytes, or by settings that it does not take."""
    from trl import get_quantization_config

    if not (model.load_in_4bit or model.load_in_8bit):
        return
    if importlib.util.find_spec("bitsandbytes") is None:
        bits = "load_in_4bit" if model.load_in_4bit else "load_in_8bit"
        raise ConfigError(
            f"{bits} needs bitsandbytes, which is not installed; run pip install bitsandbytes, or leave {bits} out."
        )
    try:
        get_quantization_config(model)
    except (ImportError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"the weights can't be quantized so: {one_sentence(error)}; correct that setting.") from None


def check_adapter(model: Any) -> None:
    """ConfigError for settings of LoRA that peft does not take."""
    from trl import get_peft_config

    try:
        get_peft_config(model)
    except (ImportError, ValueError, TypeError, RuntimeError) as error:
        raise ConfigError(f"LoRA can't be set up: {one_sentence(error)}; correct that setting.") from None


def check_compile(backend: str) -> None:
    """ConfigError for a backend that torch.compile doesn't have."""
    from torch import _dynamo as dynamo

    known = dynamo.list_backends(None)  # type: ignore[attr-defined]
    if backend not in known:
        raise ConfigError(
            f"torch_compile_backend = {backend!r} is not a backend of torch.compile{nearest(backend, known)} "
            f"Known: {', '.join(known)}."
        )


def check_generation(training: Any) -> None:
    """ConfigError for settings of GRPO's sampling that its engine refuses, or that contradict each other."""
    from transformers import GenerationConfig
    from transformers.generation.configuration_utils import ALL_CACHE_IMPLEMENTATIONS

    options, cache = training.generation_kwargs or {}, training.cache_implementation
    known = {*vars(GenerationConfig())}
    unknown = [] if training.use_vllm else [name for name in options if name not in known]
    if unknown:
        raise ConfigError(
            f"generation_kwargs has '{unknown[0]}', which transformers' GenerationConfig does not have"
            f"{nearest(unknown[0], known)} Its documentation lists the others."
        )
    if cache is not None and cache not in ALL_CACHE_IMPLEMENTATIONS:
        raise ConfigError(
            f"cache_implementation = {cache!r} is not a cache of transformers{nearest(cache, ALL_CACHE_IMPLEMENTATIONS)} "
            f"Known: {', '.join(ALL_CACHE_IMPLEMENTATIONS)}."
        )
    try:
        re.compile(training.vllm_structured_outputs_regex or "")
    except re.error as error:
        raise ConfigError(f"vllm_structured_outputs_regex is not a regular expression: {error}; correct it.") from None
    if training.sync_ref_model and not training.beta:
        raise ConfigError(
            "sync_ref_model keeps a reference model current, but beta is 0, so there is none; set beta, or sync_ref_model "
            "false."
        )
    is_corrected = training.use_vllm and training.vllm_importance_sampling_correction
    if training.loss_type == "vespo" and is_corrected and training.vllm_importance_sampling_mode.startswith("seq"):
        raise ConfigError(
            f"loss_type vespo with vLLM corrects by token, but vllm_importance_sampling_mode is "
            f"{training.vllm_importance_sampling_mode}; set it to token_truncate or token_mask."
        )


def one_sentence(error: Exception) -> str:
    """The error's message in one line without its full stop."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
