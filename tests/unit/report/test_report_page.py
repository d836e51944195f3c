"""What the report page promises, tested on a made-up run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_run import (
    write_evaluation,
    write_json,
    write_json_lines,
    write_pipeline_run,
    write_rollouts,
    write_training_run,
)

from open_r1.errors import RunFolderError
from open_r1.records import Estimate
from open_r1.report import build_report
from open_r1.report.page import MAX_SHOWN_CHARS, split_completion
from open_r1.report.values import text_of
from open_r1.report.wording import say_gain
from open_r1.rundir.rollouts import REWARDS
from open_r1.text.secrets import hide_secrets

ATTACK = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">'\">&amp;{{ 7*7 }}"


class Page(HTMLParser):
    """A page's elements and its text, as a browser would find them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.feed(path.read_text("utf-8"))
        self.text = " ".join("".join(self.pieces).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pipeline_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture
def run_dir(finished_run: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return shutil.copytree(finished_run, tmp_path / "tiny")


def edit_json(path: Path, **changes: Any) -> None:
    write_json(path, json.loads(path.read_text("utf-8")) | changes)


def edit_samples(path: Path, **changes: Any) -> None:
    write_json_lines(path, [json.loads(line) | changes for line in path.read_text("utf-8").splitlines()])


# --- what it says ---------------------------------------------------------------------------------------------------


def test_report_is_written_into_the_run_folder_and_nothing_is_left_beside_it(run_dir):
    before = {path.name for path in run_dir.iterdir()}
    assert build_report(run_dir) == run_dir / "report.html"
    assert {path.name for path in run_dir.iterdir()} == before | {"report.html"}


def test_headline_says_every_accuracy_and_the_gain_with_its_interval(run_dir):
    for model, value in (("base", 0.0), ("sft", 0.482), ("grpo", 0.963)):
        path = run_dir / f"evaluate_{model}" / "summary.json"
        modes = json.loads(path.read_text("utf-8"))["modes"]
        modes["greedy"]["accuracy"]["value"] = value
        edit_json(path, num_problems=600, modes=modes)
    text = Page(build_report(run_dir)).text
    assert "Greedy accuracy on 600 held-out problems: 0.0 % (Base) → 48.2 % (SFT) → 96.3 % (GRPO)." in text
    assert "GRPO’s gain over SFT is +48.1 points [95 % interval 44.0 to 52.1]." in text


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [(0.1, 0.05, 0.15, "gain"), (-0.1, -0.15, -0.05, "lost accuracy"), (0.01, -0.02, 0.04, "interval contains zero")],
)
def test_a_difference_is_called_a_gain_only_when_its_interval_says_so(value, low, high, words):
    assert words in say_gain("GRPO", "SFT", Estimate(value, low, high, 600))


def test_table_curves_and_stages_are_on_the_page(run_dir):
    text = Page(build_report(run_dir)).text
    expected = (
        "linear equations",
        "weekdays",
        "Completion length, tokens",
        "Groups without variance",
        "Token accuracy",
    )
    for piece in (*expected, "tag_count", "6.2 s", "Seed 0.", "packages.torch", "learning_rate: 0.001"):
        assert piece in text, piece


def test_unfinished_and_failed_stages_are_named_but_not_the_report_itself(run_dir):
    stages = json.loads((run_dir / "pipeline.json").read_text("utf-8"))["stages"]
    statuses = {"evaluate_grpo": "pending", "grpo": "failed"}
    changed = [stage | {"status": statuses.get(stage["name"], stage["status"])} for stage in stages]
    edit_json(run_dir / "pipeline.json", stages=changed)
    text = Page(build_report(run_dir)).text
    assert "Failed: grpo. Not finished yet: evaluate_grpo." in text


def test_unscored_is_shown_as_unscored_and_with_its_reason(run_dir):
    edit_samples(run_dir / "evaluate_grpo" / "samples.jsonl", score=None, reason="verifier_timeout")
    text = Page(build_report(run_dir)).text
    assert "? unscored" in text
    assert "verifier timeout" in text
    assert "wrong → unscored" in text
    assert "accuracy_reward: 12 of 96 unscored (timeout 12)." in text


def test_each_reward_has_its_variance_and_unscored_share_drawn_and_the_check_before_training_told(run_dir):
    text = Page(build_report(run_dir)).text
    for title in ("standard deviation", "groups without variance", "unscored share"):
        assert f"Each reward’s {title}" in text
    assert (
        "Before training, 8 problems with 64 completions: 3.1 % cut off, 1.6 % without an answer, "
        "54.7 % right, 25.0 % of the groups without variance." in text
    )
    assert "Before training: tag_count_reward gave every completion 0.25." in text


ALARM = {"step": 12, "alarm": "entropy", "text": "entropy fell from 0.6 to 0.05.", "is_grave": False}


def raise_alarm(run_dir: Path, **changes: Any) -> None:
    with (run_dir / "grpo" / "alarms.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(ALARM | changes) + "\n")


def test_alarms_that_training_raised_are_on_the_page_with_step_and_words(run_dir):
    assert "larm" not in Page(build_report(run_dir)).text
    raise_alarm(run_dir)
    raise_alarm(run_dir, step=110, alarm="nan", text="loss is not a finite number.")
    text = Page(build_report(run_dir)).text
    assert "Alarms while training: GRPO 2." in text
    assert "Alarm at step 12: entropy fell from 0.6 to 0.05. Alarm at step 110: loss is not a finite number." in text


def test_right_and_wrong_are_told_apart_without_colour(run_dir):
    text = Page(build_report(run_dir)).text
    assert "✓ right" in text
    assert "✗ wrong" in text


def test_charts_and_tables_have_titles_for_those_who_cannot_see_them(run_dir):
    path = build_report(run_dir)
    tags = [tag for tag, _ in Page(path).elements]
    charts = [
        attributes for tag, attributes in Page(path).elements if tag == "svg" and attributes.get("role") == "img"
    ]
    assert len(charts) == tags.count("figure") > 8
    assert tags.count("caption") == tags.count("table") > 3
    assert tags.count("title") == len(charts) + 1


def test_a_single_training_run_gets_a_page_of_its_own(tmp_path):
    run_dir = write_training_run(tmp_path / "mine", "grpo", num_steps=50)
    text = Page(build_report(run_dir)).text
    assert "GRPO, 50 steps: reward" in text
    assert "No evaluation has been recorded in this run." in text
    assert "Step 10 · 4 of a group of 4" in text


def test_two_benchmarks_get_a_table_each(run_dir):
    shutil.copytree(run_dir / "evaluate_grpo", run_dir / "evaluate_more")
    edit_json(run_dir / "evaluate_more" / "summary.json", name="math_500")
    stages = json.loads((run_dir / "pipeline.json").read_text("utf-8"))["stages"]
    more = {"name": "more", "kind": "evaluate", "status": "done", "folder": "evaluate_more", "seconds": 1.0}
    edit_json(run_dir / "pipeline.json", stages=[*stages, more])
    text = Page(build_report(run_dir)).text
    assert "Accuracy on held-out problems" in text
    assert "Accuracy on problems of math_500" in text


def test_secrets_in_settings_stay_in_the_run_folder(run_dir):
    edit_json(run_dir / "pipeline.json", environment={"WANDB_API_KEY": "0123456789", "python": "3.11"})
    html = build_report(run_dir).read_text("utf-8")
    assert "hf_abcdefghijklmnopqrst" not in html
    assert "0123456789" not in html


def test_settings_that_only_sound_like_secrets_stay_readable():
    text = "max_completion_length: 128\neos_token: <|im_end|>\ntoken_id: 5\n"
    assert hide_secrets(text) == text


# --- hostile content ------------------------------------------------------------------------------------------------


def plant_everywhere(run_dir: Path, text: str) -> None:
    """The text in every place that a model, a data set or a user can write to."""
    for model in ("base", "sft", "grpo"):
        folder = run_dir / f"evaluate_{model}"
        edit_samples(
            folder / "samples.jsonl",
            prompt=text,
            completion=text,
            gold=text,
            group=text,
            extracted_answer=text,
            reason=text,
        )
        modes = json.loads((folder / "summary.json").read_text("utf-8"))["modes"]
        modes["greedy"]["groups"] = {text: modes["greedy"]["accuracy"]}
        edit_json(folder / "summary.json", name=text, model=f"{model} {text}", modes={text: modes["greedy"], **modes})
    write_json_lines(run_dir / "grpo" / "metrics.jsonl", [{"step": 1, f"rewards/{text}/mean": 1.0, "reward": 1.0}])
    write_json_lines(run_dir / "grpo" / "alarms.jsonl", [{"step": text, "alarm": text, "text": text}])
    write_rollouts(run_dir / "grpo" / "rollouts" / "step-000010.parquet", 10, prompt=text)
    edit_json(run_dir / "grpo" / "preflight.json", findings=[{"text": text}, text])
    (run_dir / "sft" / "resolved.yaml").write_text(text, "utf-8")
    stages = json.loads((run_dir / "pipeline.json").read_text("utf-8"))["stages"]
    stages = [stage | {"name": f"{stage['name']} {text}", "status": text} for stage in stages]
    edit_json(run_dir / "pipeline.json", name=text, open_r1=text, environment={text: text}, stages=stages)


def test_hostile_text_stays_text_wherever_it_stands(run_dir):
    plant_everywhere(run_dir, ATTACK)
    page = Page(build_report(run_dir))
    assert not {"script", "img", "iframe", "object", "form"} & {tag for tag, _ in page.elements}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert page.text.count(ATTACK) > 20
    assert page.text.count("{{ 7*7 }}") == page.text.count(ATTACK)


def test_hostile_reward_names_and_chats_stay_text(tmp_path):
    folder = write_training_run(tmp_path / "run", "grpo", num_steps=10)
    chat = [[{"role": "user", "content": ATTACK}]]
    table = {"step": [10], "prompt": chat, "completion": [ATTACK], ATTACK: [None], f"{ATTACK}_reason": [ATTACK]}
    file = pa.table(table).replace_schema_metadata({REWARDS: json.dumps([ATTACK])})
    pq.write_table(file, folder / "rollouts" / "step-000010.parquet")
    page = Page(build_report(folder))
    assert not {"script", "img"} & {tag for tag, _ in page.elements}
    assert f"user: {ATTACK}" in page.text
    assert f"unscored: {ATTACK}" in page.text


def test_page_loads_nothing_and_forbids_scripts(run_dir):
    page = Page(build_report(run_dir))
    policy = next(item["content"] for _, item in page.elements if item.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert not [tag for tag, attributes in page.elements if "src" in attributes]
    links = [attributes["href"] or "" for _, attributes in page.elements if "href" in attributes]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "url(" not in (run_dir / "report.html").read_text("utf-8")


def test_a_stage_folder_outside_the_run_is_not_read(run_dir, tmp_path):
    outside = write_training_run(tmp_path / "outside", "sft")
    for folder in ("../outside", str(outside)):
        stage = {"name": "away", "kind": "sft", "status": "pending", "folder": folder, "seconds": 1.0}
        edit_json(run_dir / "pipeline.json", stages=[stage])
        assert "No training stage has logged a step." in Page(build_report(run_dir)).text


SECRET_OUTSIDE = "kept outside of the run"


@pytest.mark.parametrize(
    "name",
    ["sft/resolved.yaml", "sft", "evaluate_sft", "evaluate_sft/samples.jsonl", "pipeline.json", "grpo/rollouts"],
)
def test_what_a_link_leads_to_is_not_read(run_dir, tmp_path, name):
    """A folder that came from elsewhere can't make the page show files of the machine that it is made on."""
    plant_everywhere(run_dir, SECRET_OUTSIDE)
    outside = tmp_path / "outside"
    (run_dir / name).rename(outside)
    shown_before = len(re.findall(SECRET_OUTSIDE, build_report(run_dir).read_text("utf-8")))
    (run_dir / name).symlink_to(outside)
    assert len(re.findall(SECRET_OUTSIDE, build_report(run_dir).read_text("utf-8"))) == shown_before


def test_a_pipe_in_the_run_does_not_stop_the_report(run_dir):
    (run_dir / "sft" / "metrics.jsonl").unlink()
    os.mkfifo(run_dir / "sft" / "metrics.jsonl")
    assert "No training" not in Page(build_report(run_dir)).text


@given(st.text(st.characters(), max_size=200))
def test_any_text_can_be_written_and_shows_what_a_reader_cannot_see(text):
    shown = text_of(text)
    shown.encode("utf-8")
    assert len(shown) >= len(text.replace("\r\n", "\n"))
    assert all(
        unicodedata.category(character) not in ("Cc", "Cs", "Zl") for character in shown if character not in "\n\t"
    )


@pytest.mark.parametrize(("text", "shown"), [("a\u202eb", "a<U+202E>b"), ("a\x9bb", "a<U+009B>b"), ("a\x1bb", "a␛b")])
def test_characters_that_change_how_a_page_reads_are_shown(text, shown):
    assert text_of(text) == shown


def test_rollouts_of_an_older_version_are_a_sentence_on_the_page(run_dir):
    for path in (run_dir / "grpo" / "rollouts").glob("*.parquet"):
        pq.write_table(pq.read_table(path).replace_schema_metadata({}), path)
    assert "The rollouts of “grpo” can’t be shown: an older version" in Page(build_report(run_dir)).text


# --- missing and broken files ---------------------------------------------------------------------------------------

FILES = [
    "pipeline.json",
    "sft/metrics.jsonl",
    "sft/resolved.yaml",
    "grpo/metrics.jsonl",
    "grpo/preflight.json",
    "grpo/rollouts/step-000010.parquet",
    "evaluate_base/summary.json",
    "evaluate_sft/samples.jsonl",
    "evaluate_grpo/summary.json",
    "evaluate_grpo/samples.jsonl",
    "evaluate_grpo/comparison.json",
]
CONTENTS = {
    "empty": b"",
    "bytes that are no text": b"\xff\xfe\x00\x80",
    "a list": b"[1, [2]]\n",
    "nulls": b'{"stages": null, "modes": {"greedy": null}, "step": null, "problem_id": null, "name": null}\n',
    "words for numbers": b'{"stages": [7], "modes": {"greedy": {"accuracy": {"value": "x"}}}, "step": "x", '
    b'"prompts": "x", "findings": ["x", {"text": 5}]}\n',
    "huge and not a number": b'{"step": 1e999, "loss": NaN, "reward": 1' + b"0" * 400 + b"}\n",
    "deep": b"[" * 100_000,
    "lone surrogate": b'{"name": "\\ud800", "stages": [{"name": "\\udfff"}], "problem_id": "\\ud800"}\n',
}


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_leaves_a_page(run_dir, name):
    (run_dir / name).unlink()
    assert build_report(run_dir).stat().st_size > 10_000


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", FILES)
def test_a_broken_file_leaves_a_page(run_dir, name, content):
    (run_dir / name).write_bytes(CONTENTS[content])
    assert build_report(run_dir).stat().st_size > 10_000


@pytest.mark.parametrize("name", FILES)
def test_a_file_torn_anywhere_leaves_a_page(run_dir, name):
    whole = (run_dir / name).read_bytes()
    for part in range(1, 8):
        (run_dir / name).write_bytes(whole[: len(whole) * part // 8])
        assert build_report(run_dir).stat().st_size > 10_000


def test_a_torn_last_line_changes_nothing(run_dir):
    whole = build_report(run_dir).read_bytes()
    for name in ("sft/metrics.jsonl", "evaluate_sft/samples.jsonl"):
        with (run_dir / name).open("a", encoding="utf-8") as file:
            file.write('{"step": 121, "lo')
    assert build_report(run_dir).read_bytes() == whole


def test_what_is_missing_is_said_in_a_sentence(run_dir):
    shutil.rmtree(run_dir / "evaluate_grpo")
    shutil.rmtree(run_dir / "sft")
    shutil.rmtree(run_dir / "grpo" / "rollouts")
    text = Page(build_report(run_dir)).text
    assert "The evaluation “evaluate_grpo” left no readable summary.json." in text
    assert "The training stage “sft” left no readable metrics.jsonl." in text
    assert "No rollouts have been recorded." in text


def test_stages_are_found_without_a_readable_pipeline_file(run_dir):
    (run_dir / "pipeline.json").write_text('{"name": "ti', "utf-8")
    text = Page(build_report(run_dir)).text
    assert "pipeline.json could not be read" in text
    assert "GRPO’s gain over SFT" in text


def test_a_pipeline_that_has_only_begun_gets_a_page(tmp_path):
    stages = [{"name": "problems", "kind": "problems", "status": "pending", "folder": "problems", "seconds": None}]
    write_json(tmp_path / "pipeline.json", {"name": "young", "stages": stages})
    text = Page(build_report(tmp_path)).text
    assert "No evaluation and no logged step yet." in text
    assert "Not finished yet: problems." in text


@pytest.mark.parametrize("kind", ["missing", "empty", "a file", "unrelated"])
def test_a_folder_without_records_is_refused_with_a_remedy(tmp_path, kind):
    run_dir = tmp_path / "run"
    if kind == "a file":
        run_dir.write_text("x", "utf-8")
    elif kind != "missing":
        run_dir.mkdir()
    if kind == "unrelated":
        (run_dir / "holiday.txt").write_text("x", "utf-8")
    with pytest.raises(RunFolderError, match="give the output folder of"):
        build_report(run_dir)
    assert not (run_dir / "report.html").exists()


# --- completions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "passages"),
    [
        ("", []),
        ("plain", [("other", "plain")]),
        ("<think>\na\n</think>\n<answer>\nb\n</answer>", [("thinking", "a"), ("answer", "b")]),
        ("a</think>b", [("thinking", "a"), ("other", "b")]),
        ("<think>cut off", [("thinking", "cut off")]),
        ("<answer>b", [("answer", "b")]),
        ("x<think>a</think>y", [("other", "x"), ("thinking", "a"), ("other", "y")]),
        ("<think></think>", []),
    ],
)
def test_thinking_and_answer_are_set_apart(text, passages):
    assert [(passage.kind, passage.head) for passage in split_completion(text)] == passages


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", "word", " ", "1\n2\n3\n", "é" * 300]))
)
def test_folding_loses_no_text(pieces):
    text = "".join(pieces)
    kept = "".join(passage.head + passage.rest for passage in split_completion(text))
    for tag in ("<think>", "</think>", "<answer>", "</answer>"):
        text = text.replace(tag, "")
    assert "".join(kept.split()) == "".join(text.split())


def test_a_very_long_completion_is_folded_and_what_is_not_shown_is_counted():
    passages = split_completion("<think>" + "a\n" * MAX_SHOWN_CHARS)
    assert passages[0].head.count("\n") < 20
    assert passages[-1].left_out == MAX_SHOWN_CHARS + len("<think>")


# --- the same everywhere --------------------------------------------------------------------------------------------


def test_the_same_files_give_the_same_bytes_in_another_process_and_place(run_dir, tmp_path):
    first = build_report(run_dir).read_bytes()
    copy = shutil.copytree(run_dir, tmp_path / "elsewhere" / "tiny")
    program = "import sys, pathlib, open_r1.report as r; r.build_report(pathlib.Path(sys.argv[1]))"
    environment = os.environ | {"PYTHONHASHSEED": "12345", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", program, str(copy)], check=True, env=environment, timeout=60)
    assert (copy / "report.html").read_bytes() == first


def test_the_report_needs_no_training_library_and_no_plotting_library(run_dir):
    program = (
        "import sys, pathlib, open_r1.report as r; r.build_report(pathlib.Path(sys.argv[1]));"
        "print(sorted({'torch', 'transformers', 'trl', 'datasets', 'matplotlib'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, str(run_dir)]
    assert subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip() == "[]"


def test_a_browser_opens_the_page_and_runs_nothing_in_it(run_dir, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium here: the page was NOT opened in a browser; `apt-get install chromium` to check it")
    plant_everywhere(run_dir, ATTACK)
    raise_alarm(run_dir)
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    quiet += ["--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [chromium, *quiet, "--window-size=390,900", "--dump-dom", build_report(run_dir).as_uri()]
    dom = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    seen = tmp_path / "seen.html"
    seen.write_text(dom, "utf-8")
    page = Page(seen)
    assert "<title>owned</title>" not in dom
    assert "How it was made" in page.text
    assert "Alarm at step 12: entropy fell from 0.6 to 0.05." in page.text
    assert not {"script", "img"} & {tag for tag, _ in page.elements}


# --- own runs, in a folder of one's own -----------------------------------------------------------------------------


def write_own_runs(runs: Path) -> Path:
    """A chain whose names sort the wrong way round, and a model that has nothing to do with it."""
    for name, start in (("z-sft", "Qwen/Base"), ("a-grpo", str(runs / "z-sft"))):
        write_training_run(runs / name, "grpo" if "grpo" in name else "sft", num_steps=20)
        (runs / name / "resolved.yaml").write_text(f"learning_rate: 0.001\nmodel_name_or_path: {start}  # --model\n")
    trained = {"a": ("grpo", str(runs / "a-grpo")), "z": ("sft", str(runs / "z-sft")), "b": ("base", "Qwen/Base")}
    for name, (model, path) in {**trained, "c": ("sft", "someone/else")}.items():
        folder = runs / f"eval-{name}" / "held_out"
        write_evaluation(folder, model)
        (folder / "comparison.json").unlink(missing_ok=True)
        edit_json(folder / "summary.json", model=path)
    return runs


def test_the_order_and_the_arrows_follow_which_model_came_from_which(tmp_path):
    """Sorted by name the page said that accuracy fell from GRPO to SFT."""
    text = Page(build_report(write_own_runs(tmp_path / "runs"))).text
    headline = text[text.index("Greedy accuracy on") :]
    assert re.match(
        r"Greedy accuracy on 60 held-out problems: \S+ % \(Qwen/Base\) → \S+ % \(z-sft\) → \S+ % \(a-grpo\); "
        r"\S+ % \(someone/else\)\.",
        headline,
    ), headline[:200]


def test_a_gain_over_the_model_that_this_one_came_from_is_computed_where_it_is_not_on_record(tmp_path):
    runs, pairs = write_own_runs(tmp_path / "runs"), []

    def compare(before: Path, after: Path) -> dict[str, Any]:
        pairs.append((before.parent.name, after.parent.name))
        return {"modes": {"greedy": {"difference": {"value": 0.4, "low": 0.3, "high": 0.5, "n": 60}}}}

    text = Page(build_report(runs, compare)).text
    assert pairs == [("eval-b", "eval-z"), ("eval-z", "eval-a")]
    assert "a-grpo’s gain over z-sft is +40.0 points [95 % interval 30.0 to 50.0]." in text


def test_a_comparison_that_can_not_be_made_is_a_note(tmp_path):
    def compare(before: Path, after: Path) -> dict[str, Any]:
        raise RunFolderError("its samples are gone")

    assert (
        "can’t be compared with “eval-b/held_out”: its samples are gone"
        in Page(build_report(write_own_runs(tmp_path / "runs"), compare)).text
    )
