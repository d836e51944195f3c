"""What a request to the gateway may contain, checked before the model's server sees it.

Errors have OpenAI's form, `{"error": {"message", "type", "param", "code"}}`, whatever went wrong.

Why so much is checked here. transformers 5.23 answers 500 where a field has another type than it expects, ignores what it
can't do, and what fails in its batch (an empty prompt) ends the batch for everybody. vLLM checks most of it itself; one
check for both gives clients the same errors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from open_r1.errors import nearest
from open_r1.serving.backends import Backend

MOST_CHOICES = 128
MOST_LEVELS = 64
"""Lists and objects inside one another in a request: a template or a parser that recurses fails at some hundreds."""

MOST_CHARACTERS_A_TOKEN = 64
"""A prompt with more characters than this for each token of the context is refused before it is tokenized."""

FORWARDED = frozenset(
    "messages prompt max_tokens max_completion_tokens temperature top_p tools chat_template_kwargs".split()
)
"""The fields that transformers' server understands."""

IGNORED = frozenset(
    "user metadata store service_tier safety_identifier prompt_cache_key seed parallel_tool_calls".split()
)
"""Fields that do not affect the answer; `seed` is here since a running batch shares one stream of random numbers."""

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "stop": ("", []),
    "logprobs": (False, 0),
    "top_logprobs": (0,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "tool_choice": ("auto", "none"),
    "echo": (False,),
    "best_of": (1,),
    "suffix": ("",),
}
"""The fields that transformers' server can't act on under continuous batching, with the values that ask for nothing."""


TAKEN_BY_TEMPLATE = frozenset(
    """self conversation conversations messages tools chat_template compiled_template add_generation_prompt
    continue_final_message tokenize sanitize_control_tokens padding truncation max_length return_tensors return_dict
    return_assistant_tokens_mask tokenizer_kwargs load_audio_from_video""".split()
)
"""The options of a chat template that transformers' server sets itself, so that no request may."""


class ApiError(Exception):
    """A request that is not carried out: HTTP status, a sentence, and the fields that OpenAI's clients look at."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.retry_after_s = retry_after_s

    def as_object(self) -> dict[str, Any]:
        """The error in OpenAI's form."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        kind = {401: "authentication_error", 429: "rate_limit_error"}.get(self.status, kind)
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def is_about_limit(self) -> bool:
        """Whether prompt and completion did not fit in the context."""
        return self.code == "context_length_exceeded"

    @property
    def headers(self) -> dict[str, str]:
        """The headers that go with the error."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        return headers | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})


@dataclass(frozen=True)
class ChatRequest:
    """A request that passed: the body for the model's server, and what the gateway does itself.

    Args:
        body: For the model's server; without `model`, `stream` and `n`.
        model: The name by which the client calls the model.
        separates: Whether thinking is to be separated from the answer.
    """

    body: dict[str, Any]
    model: str
    stream: bool
    count: int
    separates: bool
    includes_usage: bool

    @property
    def template_options(self) -> dict[str, Any]:
        """The request's options for the chat template."""
        return self.body.get("chat_template_kwargs") or {}


def check_request(
    raw: bytes, names: Sequence[str], backend: Backend, is_chat: bool, max_model_len: int | None = None
) -> ChatRequest:
    """The request in a body. ApiError for anything that the model's server should not see."""
    body = read_object(raw)
    model = check_model_name(body.pop("model", None), names)
    if is_chat:
        check_messages(body.get("messages"), backend)
        check_tools(body.get("tools"))
    else:
        check_prompt(body.get("prompt"))
    check_length(body.get("messages" if is_chat else "prompt"), max_model_len)
    check_numbers(body)
    stream = check_flag(body, "stream")
    separates = check_flag(body, "separate_reasoning", default=True)
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise bad("stream_options", "must be an object")
    check_template_options(body.get("chat_template_kwargs"), backend)
    count = 1 if body.get("n") is None else body["n"]
    body = {key: value for key, value in body.items() if key != "n"}
    if backend == "transformers":
        body = only_supported(body)
        if stream and count > 1:
            raise bad("n", f"is {count}, but transformers' server streams one choice a request")
    return ChatRequest(body, model, stream, count, separates, bool((options or {}).get("include_usage")))


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


def check_length(prompt: Any, max_model_len: int | None) -> None:
    """ApiError for a prompt that is far over the context, however it is tokenized."""
    if max_model_len is None:
        return
    size = count_characters(prompt)
    if size > MOST_CHARACTERS_A_TOKEN * max_model_len:
        raise ApiError(
            400,
            f"This model's maximum context length is {max_model_len} tokens, but the prompt has {size} characters; "
            "shorten it.",
            "context_length_exceeded",
        )


def count_characters(value: Any) -> int:
    """Characters of all texts in a value; a token id counts as the most that a token may have."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(count_characters, value.values()))
    if isinstance(value, list):
        return sum(map(count_characters, value))
    return MOST_CHARACTERS_A_TOKEN if isinstance(value, int) else 0


def check_model_name(model: Any, names: Sequence[str]) -> str:
    """The model's name; ApiError for one that this server does not have."""
    if not isinstance(model, str) or not model:
        raise bad("model", f"must name a model; this server has {', '.join(names)}")
    if model not in names:
        raise ApiError(
            404,
            f"The model `{model[:200]}` does not exist{nearest(model[:200], names)} This server has: {', '.join(names)}.",
            "model_not_found",
            "model",
        )
    return model


def check_prompt(prompt: Any) -> None:
    """ApiError unless there is a prompt of at least one text or token."""
    if not isinstance(prompt, str | list):
        raise bad("prompt", f"must be a string, but is {shown(prompt)}")
    if not prompt or any(part in ("", []) for part in prompt):
        raise bad("prompt", "must not be empty; send the text that the model is to continue")


def check_template_options(options: Any, backend: Backend) -> None:
    """ApiError for options that are not an object, or that the server sets itself."""
    if options is None:
        return
    if not isinstance(options, dict):
        raise bad("chat_template_kwargs", f"must be an object, but is {shown(options)}")
    taken = sorted(TAKEN_BY_TEMPLATE & options.keys()) if backend == "transformers" else []
    if taken:
        raise bad("chat_template_kwargs", f"may not contain {taken[0]!r}, which the server sets itself; leave it out")


def check_tools(tools: Any) -> None:
    """ApiError unless every tool names its function."""
    if tools is None:
        return
    if not isinstance(tools, list):
        raise bad("tools", f"must be a list of objects, but is {shown(tools)}")
    for number, tool in enumerate(tools):
        if not has_function(tool):
            raise bad(f"tools[{number}]", "must be an object with a function that has a name")


def has_function(entry: Any) -> bool:
    """Whether a tool or a call of one names its function."""
    function = entry.get("function") if isinstance(entry, dict) else None
    return isinstance(function, dict) and isinstance(function.get("name"), str)


def check_messages(messages: Any, backend: Backend) -> None:
    """ApiError unless every message has a role and a content."""
    if not isinstance(messages, list) or not messages:
        raise bad("messages", "must be a list of at least one message")
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise bad(where, "must be an object with a role and a content")
        check_tool_calls(message.get("tool_calls"), f"{where}.tool_calls")
        content = message.get("content")
        if isinstance(content, list):
            for part in content:
                check_part(part, where, backend)
        elif content is None and message["role"] in ("assistant", "tool"):
            continue
        elif not isinstance(content, str):
            raise bad(f"{where}.content", "must be a string or a list of parts")


def check_tool_calls(calls: Any, where: str) -> None:
    """ApiError unless every call names a function and has an object of arguments."""
    if calls is None:
        return
    if not isinstance(calls, list):
        raise bad(where, f"must be a list of calls, but is {shown(calls)}")
    for call in calls:
        if not has_function(call):
            raise bad(where, "contains a call that is not an object with a function that has a name")
        if not is_object(call["function"].get("arguments")):
            raise bad(where, "contains a call whose function's arguments are not a string with a JSON object")


def is_object(arguments: Any) -> bool:
    """Whether arguments of a call are an object, as such or written as JSON."""
    if isinstance(arguments, str):
        try:
            arguments = orjson.loads(arguments)
        except orjson.JSONDecodeError:
            return False
    return isinstance(arguments, dict)


def check_part(part: Any, where: str, backend: Backend) -> None:
    """ApiError for a part of a content that this server can't read."""
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise bad(f"{where}.content", "contains a part that is not an object with a type")
    is_text = part["type"] == "text"
    if is_text and not isinstance(part.get("text"), str):
        raise bad(f"{where}.content", "contains a part of type text without a text")
    if not is_text and backend == "transformers":
        raise bad(
            f"{where}.content", f"contains a part of type {part['type'][:40]!r}, but this server takes text only"
        )


def check_numbers(body: Mapping[str, Any]) -> None:
    """ApiError for a number out of its range."""
    check_number(body, "temperature", 0, 2)
    check_number(body, "top_p", 0, 1)
    if body.get("top_p") == 0:
        raise bad("top_p", "must be above 0")
    for name in ("max_tokens", "max_completion_tokens"):
        check_whole(body, name, 2**31 - 1)
    check_whole(body, "n", MOST_CHOICES)


def check_number(body: Mapping[str, Any], name: str, low: float, high: float) -> None:
    """ApiError unless the field is absent or a number in the range."""
    value = body.get(name)
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high or math.isnan(value):
        raise bad(name, f"must be a number from {low} to {high}, but is {shown(value)}")


def check_whole(body: Mapping[str, Any], name: str, most: int) -> None:
    """ApiError unless the field is absent or a whole number from 1 to `most`."""
    value = body.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most):
        raise bad(name, f"must be a whole number from 1 to {most}, but is {shown(value)}")


def check_flag(body: dict[str, Any], name: str, default: bool = False) -> bool:
    """A true or false that is taken out of the body; ApiError for anything else."""
    value = body.pop(name, None)
    if value is not None and not isinstance(value, bool):
        raise bad(name, f"must be true or false, but is {shown(value)}")
    return default if value is None else value


def only_supported(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that transformers' server understands; ApiError for what it would not do."""
    kept = {}
    for name, value in body.items():
        if name in FORWARDED:
            kept[name] = value
        elif name in IGNORED or name == "stream_options" or value is None or value in NEUTRAL.get(name, ()):
            continue
        elif name in NEUTRAL:
            raise bad(
                name, f"is {shown(value)}, which transformers' server can't do; serve with vLLM, or leave it out"
            )
        else:
            raise bad(name[:100], f"is not a field that transformers' server knows{nearest(name, FORWARDED)}"[:300])
    if "messages" in kept:
        kept["messages"] = [without_empty_calls(message) for message in kept["messages"]]
    return {name: value for name, value in kept.items() if value is not None}


def without_empty_calls(message: dict[str, Any]) -> dict[str, Any]:
    """The message as transformers' server takes it, which looks for calls wherever there is a `tool_calls`."""
    return {name: value for name, value in message.items() if name != "tool_calls" or value}


def bad(param: str, what: str) -> ApiError:
    """The error of a field; `what` continues a sentence that begins with its name."""
    return ApiError(400, f"'{param}' {what.rstrip('.')}.", "invalid_value", param)


def shown(value: Any) -> str:
    """A value as messages show it, cut off where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
