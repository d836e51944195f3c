"""What a request to the gateway may contain, checked before the model's server sees it; errors have OpenAI's form.

Why here: transformers 5.23 answers 500 where a field has another type than it expects, ignores what it can't do, and what
fails in its batch (an empty prompt) ends the batch for everybody. vLLM's clients get the same errors.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from open_r1.errors import nearest
from open_r1.serving.backends import Backend

MOST_LEVELS = 64
"""Lists and objects inside one another in a request: a template or a parser that recurses fails at some hundreds."""

MOST_CHARACTERS_A_TOKEN = 64
"""A prompt with more characters than this for each token of the context is refused before it is tokenized."""

FORWARDED = frozenset(
    "messages prompt max_tokens max_completion_tokens temperature top_p tools chat_template_kwargs".split()
)
"""The fields that transformers' server understands."""

IGNORED = frozenset(
    """user metadata store service_tier safety_identifier prompt_cache_key seed parallel_tool_calls
    stream_options""".split()
)
"""Fields that do not affect the answer; `seed` is here since a running batch shares one stream of random numbers."""

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "stop": ("", []), "logprobs": (False, 0), "top_logprobs": (0,), "presence_penalty": (0,), "frequency_penalty": (0,),
    "logit_bias": ({},), "response_format": ({"type": "text"},), "tool_choice": ("auto", "none"), "echo": (False,),
    "best_of": (1,), "suffix": ("",),
}  # fmt: skip
"""The fields that transformers' server can't act on under continuous batching, with the values that ask for nothing."""

TAKEN_BY_TEMPLATE = frozenset(
    """self conversation conversations messages tools chat_template compiled_template add_generation_prompt
    continue_final_message tokenize sanitize_control_tokens padding truncation max_length return_tensors return_dict
    return_assistant_tokens_mask tokenizer_kwargs load_audio_from_video""".split()
)
"""The options of a chat template that transformers' server sets itself, so that no request may."""

Tokens = Annotated[int, Field(ge=1, le=2**31 - 1)]


class ApiError(Exception):
    """A request that is not carried out: HTTP status, a sentence, and the fields that OpenAI's clients look at."""

    def __init__(
        self, status: int, message: str, code: str | None = None, param: str | None = None, retry_after_s: int = 0
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.headers = {"Retry-After": str(retry_after_s)} if retry_after_s else {}
        if status == 401:
            self.headers["WWW-Authenticate"] = "Bearer"

    def as_object(self) -> dict[str, Any]:
        """The error as the JSON object of OpenAI's API."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        kind = {401: "authentication_error", 429: "rate_limit_error"}.get(self.status, kind)
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


class Fields(BaseModel):
    """An object of a request: the fields that are checked; others pass."""

    model_config = ConfigDict(strict=True, extra="ignore")


class Function(Fields):
    """The function of a tool or a call; `arguments` are a call's, as a JSON text."""

    name: str
    arguments: Any = None


class Tool(Fields):
    """A tool that the model may call."""

    function: Function


class Call(Tool):
    """A call of a tool in an earlier turn."""

    @field_validator("function")
    @classmethod
    def check_arguments(cls, function: Function) -> Function:
        """ValueError unless the arguments are a JSON object, as such or as text."""
        with contextlib.suppress(orjson.JSONDecodeError, TypeError):
            if isinstance(function.arguments, dict) or isinstance(orjson.loads(function.arguments), dict):
                return function
        raise ValueError("has arguments that are not a string with a JSON object")


class Message(Fields):
    """One turn of a conversation."""

    role: str
    content: Any = Field(None, validate_default=True)
    tool_calls: list[Call] | None = None

    @field_validator("content")
    @classmethod
    def check_content(cls, content: Any, info: ValidationInfo) -> Any:
        """ValueError for a missing content, or a part that this server can't take."""
        parts = content if isinstance(content, list) else []
        may_be_missing = info.data.get("role") in ("assistant", "tool")
        if not (isinstance(content, str | list) or (content is None and may_be_missing)):
            raise ValueError("must be a string or a list of parts")
        for part in parts:
            if not isinstance(part, dict) or not isinstance(part.get("type"), str):
                raise ValueError("contains a part that is not an object with a type")
            if part["type"] == "text" and not isinstance(part.get("text"), str):
                raise ValueError("contains a part of type text without a text")
            if part["type"] != "text" and info.context == "transformers":
                raise ValueError(f"contains a part of type {part['type'][:40]!r}, but this server takes text only")
        return content


class Body(Fields):
    """The fields that both routes share, each within its range."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stream: bool | None = None
    separate_reasoning: bool | None = None
    stream_options: dict[str, Any] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    tools: list[Tool] | None = None
    reasoning_effort: str | None = None

    @field_validator("chat_template_kwargs")
    @classmethod
    def check_options(cls, options: dict[str, Any] | None, info: ValidationInfo) -> Any:
        """ValueError for an option of the chat template that the server sets itself."""
        if info.context == "transformers" and (taken := sorted(TAKEN_BY_TEMPLATE & (options or {}).keys())):
            raise ValueError(f"may not contain {taken[0]!r}, which the server sets itself; leave it out")
        return options


class ChatBody(Body):
    """The body of a request for a chat completion."""

    messages: Annotated[list[Message], Field(min_length=1)]


class TextBody(Body):
    """The body of a request to continue a text."""

    prompt: Any

    @field_validator("prompt")
    @classmethod
    def check_prompt(cls, prompt: Any) -> Any:
        """ValueError for a prompt that is empty, or neither a string nor a list."""
        if not isinstance(prompt, str | list):
            raise ValueError("must be a string")
        if not prompt or any(part in ("", []) for part in prompt):
            raise ValueError("must not be empty; send the text that the model is to continue")
        return prompt


@dataclass(frozen=True)
class ChatRequest:
    """A request that passed: the body for the model's server, without what the gateway does itself."""

    body: dict[str, Any]
    model: str
    stream: bool
    count: int
    separates: bool
    includes_usage: bool
    ignored: tuple[str, ...] = ()

    @property
    def template_options(self) -> dict[str, Any]:
        """The request's own options of the chat template."""
        return self.body.get("chat_template_kwargs") or {}


def check_request(
    raw: bytes,
    names: Sequence[str],
    backend: Backend,
    is_chat: bool,
    max_model_len: int | None = None,
    template: str = "",
) -> ChatRequest:
    """The request in a body. ApiError for anything that the model's server should not see.

    `reasoning_effort` becomes an option of the chat template that knows it, or a way to switch thinking off; otherwise it is
    ignored, as `ignored` says. Without tools to choose from, or with `tool_choice` none, there are no tools.
    """
    body = read_object(raw)
    model = check_model_name(body.pop("model", None), names)
    try:
        checked = (ChatBody if is_chat else TextBody).model_validate(body, context=backend)
    except ValidationError as error:
        raise refusal_of(error) from None
    size = count_characters(body["messages" if is_chat else "prompt"])
    if max_model_len is not None and size > MOST_CHARACTERS_A_TOKEN * max_model_len:
        said = f"maximum context length is {max_model_len} tokens, but the prompt has {size} characters; shorten it"
        raise ApiError(400, f"This model's {said}.", "context_length_exceeded")
    taken = {"n", "stream", "separate_reasoning", "reasoning_effort"}
    if not checked.tools or body.get("tool_choice") == "none":
        taken |= {"tools"} | ({"tool_choice"} if body.get("tool_choice") in ("none", "auto") else set())
    ignored = {name for name in IGNORED & body.keys() - {"stream_options"} if backend == "transformers"}
    body = {key: value for key, value in body.items() if key not in taken}
    if (effort := checked.reasoning_effort) is not None:
        knows = "reasoning_effort" in template
        options = {"reasoning_effort": effort} if knows else {"enable_thinking": False}
        if is_chat and (knows or (effort == "none" and "enable_thinking" in template)):
            body["chat_template_kwargs"] = options | (checked.chat_template_kwargs or {})
        else:
            ignored.add("reasoning_effort")
    stream, count = bool(checked.stream), checked.n or 1
    if backend == "transformers":
        body = _only_supported(body)
        if stream and count > 1:
            raise bad("n", f"is {count}, but transformers' server streams one choice a request")
    includes_usage = bool((checked.stream_options or {}).get("include_usage"))
    separates = checked.separate_reasoning is not False
    return ChatRequest(body, model, stream, count, separates, includes_usage, tuple(sorted(ignored)))


def refusal_of(error: ValidationError) -> ApiError:
    """The first error of a check, with the place of the field: `messages[0].content`."""
    first = error.errors(include_url=False)[0]
    param = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    is_missing = first["type"] == "missing"
    found = "" if is_missing else f", but is {shown(first['input'])}"
    said = first["msg"].removeprefix("Value error, ").partition(" after validation")[0]
    said = re.sub("^(Input|List|String) should", "must", said)
    return bad(param, "is missing" if is_missing else f"{said}{found}")


def read_object(raw: bytes) -> dict[str, Any]:
    """The JSON object of a body, no deeper than `MOST_LEVELS`."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"the request's body is not JSON: {error}.", "invalid_json") from None
    if not isinstance(body, dict):
        raise ApiError(400, "the request's body must be a JSON object.", "invalid_json")
    for name, value in body.items():
        if is_deeper(value, MOST_LEVELS):
            raise bad(name[:100], f"has more than {MOST_LEVELS} levels of lists and objects inside one another")
    return body


def is_deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects are nested deeper than that."""
    if not isinstance(value, list | dict):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(is_deeper(part, levels - 1) for part in inner)


def count_characters(value: Any) -> int:
    """Characters of all texts in a value; a token id counts as the most that a token may have."""
    if isinstance(value, dict | list):
        return sum(map(count_characters, value.values() if isinstance(value, dict) else value))
    return len(value) if isinstance(value, str) else MOST_CHARACTERS_A_TOKEN * isinstance(value, int)


def check_model_name(model: Any, names: Sequence[str]) -> str:
    """The model's name; ApiError for one that this server does not have."""
    known = ", ".join(names)
    if not isinstance(model, str) or not model:
        raise bad("model", f"must name a model; this server has {known}")
    if model not in names:
        said = f"The model `{model[:200]}` does not exist{nearest(model[:200], names)} This server has: {known}."
        raise ApiError(404, said, "model_not_found", "model")
    return model


def _only_supported(body: Mapping[str, Any]) -> dict[str, Any]:
    kept = {}
    for name, value in body.items():
        if name in IGNORED or value is None or value in NEUTRAL.get(name, ()):
            continue
        if name in NEUTRAL:
            said = f"is {shown(value)}, which transformers' server can't do; serve with vLLM, or leave it out"
            raise bad(name, said)
        if name not in FORWARDED:
            raise bad(name[:100], f"is not a field that transformers' server knows{nearest(name, FORWARDED)}"[:300])
        kept[name] = value
    if "messages" in kept:  # transformers looks for calls wherever there is a `tool_calls`
        kept["messages"] = [
            {name: value for name, value in message.items() if name != "tool_calls" or value}
            for message in kept["messages"]
        ]
    return kept


def bad(param: str, what: str) -> ApiError:
    """The error of a field; `what` continues a sentence that begins with its name."""
    return ApiError(400, f"'{param}' {what.rstrip('.')}.", "invalid_value", param)


def shown(value: Any) -> str:
    """The value as a message quotes it, cut to 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
