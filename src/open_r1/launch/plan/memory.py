"""Bytes that each process needs, by part, at the moment of a training step when it needs most.

Between steps there are weights and optimizer states; a backward pass begins with all activations and ends with all
gradients (Rajbhandari et al., ZeRO, arXiv:1910.02054, section 3). What is kept of each layer is counted from
transformers' layers as Korthikanti et al. (arXiv:2205.05198, section 4) count it for Megatron's. The LM head is TRL's fused
one, which never has all logits at once. `benchmarks/plan_memory.py` compares the result with measured allocations.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from open_r1.errors import ConfigError, nearest
from open_r1.launch.plan.architectures import Architecture
from open_r1.launch.plan.settings import RecipeSettings
from open_r1.launch.plan.sharding import Sharding
from open_r1.launch.recipe import Task

FLOAT = 4
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "auto": 2}
"""Bytes of a number; published weights are bfloat16, which `auto` keeps."""

HEAD_TOKENS, HEAD_WORDS = 4096, 32768
"""Tokens and vocabulary of a tile of logits in TRL's fused LM head (trl/kernels/chunked_logprob.py)."""
TILE_BYTES_ON_CPU = 29
"""Bytes of each logit of a tile that the head's CPU form has at once: seven float32 tensors and a mask, in its backward."""

REDUCE_BUCKET = 500_000_000
"""Numbers in DeepSpeed's buffer for the exchange of gradients (its default reduce_bucket_size)."""
LIVE_PARAMETERS = 1_000_000_000
"""Parameters that ZeRO-3 gathers at once at most (its default stage3_max_live_parameters)."""

STATE_BYTES = {"8bit": 2 * (1 + FLOAT / 256), "adafactor": 0.0, "sgd": 0.0}
"""Bytes of optimizer states of a parameter, by a part of its name: 8-bit states have a float32 for each block of 256
(arXiv:2110.02861); Adafactor's rows and columns are negligible (arXiv:1804.04235)."""

QUANTIZED = {"load_in_4bit": 0.5 + FLOAT / 64, "load_in_8bit": 1.0}
"""Bytes of a quantized parameter: in 4 bits a float32 for each block of 64 (QLoRA, arXiv:2305.14314, section 3)."""
NESTED_4BIT = 0.5 + 0.127 / 8

DEFAULT_TARGETS = ("q_proj", "v_proj")
"""The modules that PEFT changes in Qwen and Llama where a recipe names none."""


@dataclass(frozen=True)
class Workload:
    """What one process computes at once.

    Args:
        samples: Sequences of a micro-batch.
        length: Tokens of each, with padding.
        accumulation: Micro-batches of a step.
        on_gpu: Whether kernels are those of a GPU.
        prompt: Tokens of the prompt in `length`, of GRPO.
    """

    kind: Task
    architecture: Architecture
    settings: RecipeSettings
    sharding: Sharding
    samples: int
    length: int
    accumulation: int = 1
    on_gpu: bool = True
    prompt: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of a micro-batch, padding included: at most these in GRPO, whose trainer groups samples by length."""
        return self.samples * self.length

    @property
    def is_mixed(self) -> bool:
        """Whether matrices are multiplied in 16 bits, whatever the weights are."""
        chosen = self.settings.bf16
        return bool(self.on_gpu if chosen is None else chosen) or self.settings.fp16

    @property
    def weight_bytes(self) -> int:
        """Bytes of a weight that is computed with, before autocast."""
        if self.is_mixed and (self.sharding.is_deepspeed or self.sharding.strategy == "fsdp2"):
            return 2
        if self.settings.dtype not in BYTES:
            raise ConfigError(f"dtype '{self.settings.dtype}' is not known{nearest(self.settings.dtype, BYTES)} "
                              f"Known: {', '.join(BYTES)}.")  # fmt: skip
        return BYTES[self.settings.dtype]

    @property
    def compute_bytes(self) -> int:
        """Bytes of what linear modules take and give."""
        return 2 if self.is_mixed else self.weight_bytes

    @property
    def casts(self) -> bool:
        """Whether autocast makes 16-bit copies of float32 weights and inputs."""
        return self.compute_bytes < self.weight_bytes

    @cached_property
    def targets(self) -> dict[str, tuple[int, int]]:
        """The linear modules that LoRA changes, with inputs and outputs; none without LoRA. ConfigError for unknown ones."""
        if not self.settings.use_peft:
            return {}
        known, wanted = self.architecture.linears, self.settings.lora_target_modules or DEFAULT_TARGETS
        if wanted in ("all-linear", ["all-linear"]):
            return known
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        if unknown := [name for name in names if name not in known]:
            raise ConfigError(f"lora_target_modules names '{unknown[0]}'{nearest(unknown[0], known)} "
                              f"Plans know {', '.join(known)} and all-linear.")  # fmt: skip
        return {name: known[name] for name in names}

    @property
    def trained(self) -> int:
        """Parameters that are trained: all, or LoRA's two matrices beside each target (arXiv:2106.09685)."""
        if not self.settings.use_peft:
            return self.architecture.parameters
        width = sum(inputs + outputs for inputs, outputs in self.targets.values())
        return self.architecture.num_layers * self.settings.lora_r * width


@dataclass(frozen=True)
class Memory:
    """Bytes of one process by part, on its GPU and on the host, at the fullest moment of a step."""

    moment: str
    parts: dict[str, int]
    host: dict[str, int]

    @property
    def total(self) -> int:
        """Bytes on the GPU."""
        return sum(self.parts.values())


def plan_memory(work: Workload) -> Memory:
    """The memory of a training step, at its fullest moment."""
    resident, host = resident_parts(work)
    moment, parts = fullest((moment, resident | parts) for moment, parts in moments(work))
    return Memory(moment, parts, {name: round(size) for name, size in host.items()})


def fullest(moments: Iterable[tuple[str, dict[str, float]]]) -> tuple[str, dict[str, int]]:
    """The moment with the most bytes, in whole bytes; parts of nothing are left out."""
    moment, parts = max(moments, key=lambda one: sum(one[1].values()))
    return moment, {name: round(size) for name, size in parts.items() if round(size)}


def frozen_bytes(work: Workload) -> float:
    """Bytes of the weights that are not trained: quantized are those of the layers' linear modules."""
    if not work.settings.use_peft:
        return 0.0
    bits = next((key for key in QUANTIZED if getattr(work.settings, key)), None)
    matrices = work.architecture.num_layers * work.architecture.layer_matrices
    if bits is None:
        return work.architecture.parameters * work.weight_bytes
    each = NESTED_4BIT if bits == "load_in_4bit" and work.settings.use_bnb_nested_quant else QUANTIZED[bits]
    return matrices * each + (work.architecture.parameters - matrices) * work.weight_bytes


def trained_bytes(work: Workload) -> int:
    """Bytes of a trained parameter as the optimizer changes it: PEFT's adapters and FSDP2's shards are float32."""
    if work.sharding.strategy == "fsdp2":
        return FLOAT if work.is_mixed else work.weight_bytes
    return FLOAT if work.settings.use_peft and not work.sharding.is_deepspeed else work.weight_bytes


def optimizer_bytes(work: Workload) -> float:
    """Bytes of optimizer states of a trained parameter; Adam's two are of its dtype, DeepSpeed adds a float32 weight."""
    name = work.settings.optim.lower()
    each = FLOAT if work.sharding.is_deepspeed else trained_bytes(work)
    states = next((size for part, size in STATE_BYTES.items() if part in name), 2.0 * each)
    return states + (FLOAT if work.sharding.is_deepspeed else 0)


def gradient_bytes(work: Workload) -> int:
    """Bytes of the gradient of a trained parameter: DeepSpeed adds them up in float32."""
    return FLOAT if work.sharding.is_deepspeed else trained_bytes(work)


def resident_parts(work: Workload) -> tuple[dict[str, float], dict[str, float]]:
    """Parts that are there throughout a step, on the GPU and on the host."""
    sharding, trained = work.sharding, work.trained
    weights = frozen_bytes(work) + trained * trained_bytes(work)
    parts = {"weights": weights * sharding.share("weights")}
    parts["optimizer"] = optimizer_bytes(work) * trained * sharding.share("optimizer")
    host: dict[str, float] = {}
    if sharding.offloads_optimizer:
        host["optimizer"] = parts.pop("optimizer")
        host["gradients"] = gradient_bytes(work) * trained * sharding.share("gradients")
    if sharding.offloads_weights:
        host["weights"] = parts.pop("weights")
    if work.kind == "grpo" and work.settings.beta and not work.settings.use_peft:
        parts["reference model"] = work.architecture.parameters * work.weight_bytes * sharding.share("weights")
    parts["communication"] = communication_bytes(work)
    return parts, host


def communication_bytes(work: Workload) -> float:
    """Buffers for what the processes exchange.

    DDP has a second copy of the gradients in its buckets; ZeRO one bucket (ZeRO-3 two, since it overlaps) and what it has
    gathered; FSDP2 two gathered layers, the embeddings, and a layer's whole gradients.
    """
    sharding, a, size = work.sharding, work.architecture, work.weight_bytes
    if sharding.processes == 1 and not sharding.is_deepspeed:
        return 0.0
    if sharding.strategy == "ddp":
        return work.trained * gradient_bytes(work)
    if sharding.strategy == "fsdp2":
        embeddings = a.embedding_parameters * (1 if a.is_tied else 2)
        return size * (embeddings + 2 * a.layer_parameters) + (0 if work.targets else FLOAT * a.layer_parameters)
    if sharding.strategy == "zero3":
        return size * (2 * REDUCE_BUCKET + min(LIVE_PARAMETERS, a.parameters))
    return size * REDUCE_BUCKET


def moments(work: Workload) -> list[tuple[str, dict[str, float]]]:
    """The moments of a step that may be its fullest, each with the parts that come to the resident ones.

    With several micro-batches the gradients of the earlier ones are there from the start; else they take the place of the
    activations from the last layer to the first. DeepSpeed makes its bucket when the first gradient is there.
    """
    share = 0.0 if work.sharding.offloads_optimizer else work.sharding.share("gradients")
    gradients = gradient_bytes(work) * work.trained * share
    before = gradients if work.accumulation > 1 else 0.0
    kept, layer = kept_bytes(work), layer_workspace(work)
    of_head = 0 if work.settings.use_peft else work.architecture.embedding_parameters * work.weight_bytes * share
    unused = {"communication": 0.0} if work.sharding.strategy in ("zero1", "zero2") else {}
    head = [
        moment("the LM head's forward pass", before, kept + cast_bytes(work, True), head_bytes(work, False)),
        moment("the LM head's backward pass", before, kept + cast_bytes(work), head_bytes(work)),
    ]
    return [(name, parts | unused) for name, parts in head] + [
        moment("the last layer's backward pass", max(before, of_head), kept + cast_bytes(work) + layer),
        moment("the first layer's backward pass", gradients, kept / work.architecture.num_layers + layer),
        moment("the optimizer's step", gradients),
    ]


def moment(name: str, gradients: float, activations: float = 0.0, logits: float = 0.0) -> tuple[str, dict[str, float]]:
    """A moment of a step with its parts."""
    return name, {"gradients": gradients, "activations": activations, "logits": logits}


def norm_bytes(work: Workload, width: int, size: int, is_liger: bool) -> float:
    """Bytes that an RMSNorm keeps of a token: its input in float32, and normed where its weight is trained.

    Liger's keeps its input as it is.
    """
    if is_liger:
        return size * width
    return FLOAT * width + (0 if work.settings.use_peft else size * width)


def layer_bytes(work: Workload) -> float:
    """Bytes that a layer keeps of each token without gradient checkpointing.

    Two norms; the inputs of the linear modules, under autocast a copy for each; queries, keys, values and what attention
    gives, with the log of its normaliser; of the gated MLP gate, activated gate, up and product (Liger keeps no activated
    gate). Modules that are frozen keep no input; LoRA's keep theirs, and the mask of its dropout.
    """
    a, c, settings = work.architecture, work.compute_bytes, work.settings
    is_liger = settings.use_liger_kernel and work.on_gpu
    stream = work.weight_bytes
    total = 2 * norm_bytes(work, a.hidden_size, stream, is_liger)
    if a.has_qk_norm:
        total += norm_bytes(work, a.query_size + a.key_size, c, is_liger)
    total += attention_bytes(work)
    total += c * a.intermediate_size * (2 if is_liger else 3)
    if not settings.use_peft:
        copies = 5 if work.casts else 2
        return total + c * (a.hidden_size * copies + a.intermediate_size)
    return total + lora_bytes(work)


def lora_bytes(work: Workload) -> float:
    """Bytes that LoRA's modules keep of a token in one layer: their inputs, what comes between the two matrices, dropout.

    Each has a copy of its input where that is cast or dropped; else queries, keys and values share one, gate and up another,
    and the output module's is kept by attention.
    """
    a, settings, names = work.architecture, work.settings, set(work.targets)
    size = work.compute_bytes if work.is_mixed else FLOAT
    total = float(FLOAT * settings.lora_r * len(names))
    if not (settings.lora_dropout or work.is_mixed or work.weight_bytes < FLOAT):
        shared = bool(names & {"q_proj", "k_proj", "v_proj"}) + bool(names & {"gate_proj", "up_proj"})
        return total + size * (a.hidden_size * shared + a.intermediate_size * ("down_proj" in names))
    inputs = sum(width for width, _ in work.targets.values())
    mask = 0 if not settings.lora_dropout else 1 if work.on_gpu else FLOAT
    return total + inputs * (size + mask)


def attention_bytes(work: Workload) -> float:
    """Bytes that attention keeps of a token (FlashAttention, arXiv:2205.14135: output and one number a head).

    PyTorch's own, for padded batches, has keys and values repeated for each query head and a mask of each layer's; plain
    attention has the weights of all pairs of tokens, twice.
    """
    a, c, kind = work.architecture, work.compute_bytes, work.settings.attn_implementation or "sdpa"
    if kind.startswith("flash") or work.settings.packing:
        return c * (2 * a.query_size + 2 * a.key_size) + FLOAT * a.num_heads
    repeated = c * 4 * a.query_size
    if kind == "eager":
        return repeated + (FLOAT + c) * a.num_heads * work.length
    return repeated + FLOAT * a.num_heads + c * work.length


def kept_bytes(work: Workload) -> float:
    """Bytes of activations between forward and backward pass: of each layer its input where it is computed again."""
    a, stream = work.architecture, work.weight_bytes
    each = stream * a.hidden_size if work.settings.gradient_checkpointing else layer_bytes(work)
    last_norm = norm_bytes(work, a.hidden_size, stream, False) + stream * a.hidden_size
    return work.tokens * (a.num_layers * each + last_norm)


def layer_workspace(work: Workload) -> float:
    """Bytes of a layer's backward pass beside what is kept: computed again if need be, gradients of its MLP and stream."""
    a = work.architecture
    again = layer_bytes(work) if work.settings.gradient_checkpointing else 0.0
    weights = work.compute_bytes * a.layer_matrices if work.casts and work.settings.gradient_checkpointing else 0
    quantized = work.settings.load_in_4bit or work.settings.load_in_8bit
    weights += 2 * a.hidden_size * a.intermediate_size if quantized else 0
    gradients = 2 * work.compute_bytes * a.intermediate_size + 2 * work.weight_bytes * a.hidden_size
    return work.tokens * (again + gradients) + weights


def cast_bytes(work: Workload, in_forward: bool = False) -> float:
    """Autocast's 16-bit copies of the layers' weights: until the forward pass ends, or as long as activations are kept."""
    if not work.casts or (work.settings.gradient_checkpointing and not in_forward):
        return 0.0
    return work.compute_bytes * work.architecture.num_layers * work.architecture.layer_matrices


def head_bytes(work: Workload, in_backward: bool = True) -> float:
    """Bytes of TRL's fused LM head: a tile of logits, in its backward pass float32 gradients of its input and weight."""
    a, c = work.architecture, work.compute_bytes
    tokens = min(work.tokens, HEAD_TOKENS)
    words = min(a.vocab_size, HEAD_WORDS)
    total = tokens * HEAD_WORDS * c
    if in_backward:
        total += FLOAT * work.tokens * a.hidden_size
        total += 0 if work.settings.use_peft else FLOAT * a.embedding_parameters
    if not work.on_gpu:
        total += TILE_BYTES_ON_CPU * tokens * words
    return total + (c * words * a.hidden_size if work.casts else 0)
