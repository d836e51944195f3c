"""Secrets are masked, and what only sounds like one stays readable."""

from __future__ import annotations

import pytest

from open_r1.text.secrets import hide_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("hub_token: abc # recipe", "hub_token: <hidden>"),
        ("hub_token: null  # default", "hub_token: null  # default"),
        ("hub_token: nullify", "hub_token: <hidden>"),
        ("WANDB_API_KEY: 'a # b'", "WANDB_API_KEY: <hidden>"),
        ('  "password": x', '  "password": <hidden>'),
        ("run_name: hf_abcdefghijklmnop", "run_name: <hidden>"),
        ("key sk-0123456789abcdef here", "key <hidden> here"),
        ("hf_short", "hf_short"),
        ("--set sft.overrides.hub_token=abc: is no", "--set sft.overrides.hub_token=<hidden>: is no"),
        ("http://me:secret@host:80/v1", "http://me:<hidden>@host:80/v1"),
        ("vllm_server_base_url: https://:pw@host/x", "vllm_server_base_url: https://:<hidden>@host/x"),
        ("http://host:80/a@b", "http://host:80/a@b"),
        ("http://me@host/", "http://me@host/"),
        ("max_completion_length: 128\neos_token: <|im_end|>\ntoken_id: 5\n", None),
    ],
)
def test_secrets_are_hidden_and_nothing_else(text: str, shown: str | None) -> None:
    assert hide_secrets(text) == (text if shown is None else shown)
