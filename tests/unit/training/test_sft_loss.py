"""What SFT refuses or splits before it trains on conversations."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from datasets import Dataset, DatasetDict

from open_r1.errors import DataError
from open_r1.training.sft import choose_loss

PLAIN = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
MARKED = "{% for message in messages %}{% generation %}{{ message['content'] }}{% endgeneration %}{% endfor %}"


def arguments() -> Any:
    training = SimpleNamespace(assistant_only_loss=None, completion_only_loss=None)
    return SimpleNamespace(script=SimpleNamespace(dataset_train_split="train"), training=training)


def conversations(**columns: Any) -> DatasetDict:
    turns = [{"role": "user", "content": "1+2"}, {"role": "assistant", "content": "3"}]
    return DatasetDict(train=Dataset.from_list([{"messages": turns, **columns}]))


def test_tools_that_the_template_does_not_show_are_refused_and_never_dropped() -> None:
    data = conversations(tools=[{"name": "add"}])
    with pytest.raises(
        DataError, match="column 'tools', which the model's chat template doesn't show; leave that column"
    ):
        choose_loss(data, SimpleNamespace(chat_template=MARKED), arguments(), lambda said: None)
    shows = SimpleNamespace(chat_template=MARKED + "{{ tools }}")
    assert choose_loss(data, shows, arguments(), lambda said: None)["train"]["tools"] == data["train"]["tools"]


def test_a_template_with_markers_has_loss_on_every_turn_of_the_assistant() -> None:
    stage = arguments()
    data = choose_loss(conversations(), SimpleNamespace(chat_template=MARKED), stage, lambda said: None)
    assert stage.training.assistant_only_loss is True
    assert data["train"].column_names == ["messages"]


def test_a_template_without_markers_has_loss_on_the_last_turn_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("open_r1.training.sft.can_mark_turns", lambda tokenizer: False)
    stage, said = arguments(), []
    data = choose_loss(conversations(), SimpleNamespace(chat_template=PLAIN), stage, said.append)
    assert (stage.training.assistant_only_loss, stage.training.completion_only_loss) == (False, True)
    assert data["train"][0]["completion"] == [{"role": "assistant", "content": "3"}]
    assert data["train"][0]["prompt"] == [{"role": "user", "content": "1+2"}]
    assert said == ["the chat template has no generation markers: loss on the last turn of each conversation only"]
