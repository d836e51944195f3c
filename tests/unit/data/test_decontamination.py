"""What is a hit and what isn't, by our rule and by the original's."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_r1.data.evaluation_index import EvalSet, Hit, Index, Rule
from open_r1.errors import ConfigError

BALLOON = (
    "A balloon is tied to a post by 4 ropes of 130 m, and rises until the longest of them is tight, while the wind blows "
    "it 50 m to the east. How high above the flat field is the balloon then?"
)
MEDIUM = "How many positive whole-number divisors does $196$ have in total?"
SHORT = r"Compute $\sin 0^\circ$."
OURS = Rule()
ITEMS = [BALLOON, MEDIUM, SHORT, "Solve $x+5=3$.", "Go on"]


def find(text: str, items: list[str] = ITEMS, rule: Rule = OURS) -> list[Hit]:
    index = Index([EvalSet("set", items)], rule)
    return index.find(index.read(["other text first", text, "and last"])).get(1, [])


def found(text: str, items: list[str] = ITEMS, rule: Rule = OURS) -> list[int]:
    return [hit.item for hit in find(text, items, rule)]


@pytest.mark.parametrize(
    "text",
    [
        BALLOON,
        BALLOON.upper(),
        BALLOON.replace(",", "").replace("?", " !!"),
        BALLOON.replace(" ", "\n  "),
        "Once upon a time there were three bears. " * 40 + BALLOON + " And they lived happily." * 40,
        "In short: " + BALLOON.replace("tied to a post", "fixed"),
        BALLOON.rpartition("How")[0],
    ],
)
def test_a_long_item_is_found_however_it_is_set_and_in_part(text: str) -> None:
    hit = find(text)[0]
    assert (hit.item, hit.kind) == (0, "coverage")
    assert hit.coverage >= 0.5
    assert "4 ropes of 130 m" in hit.matched


def test_the_evidence_is_the_longest_stretch_in_common() -> None:
    hit = find("So: " + BALLOON.replace("longest", "shortest"))[0]
    assert hit.matched.startswith("of them is tight")
    assert hit.matched.endswith("balloon then")
    assert hit.longest_run == 24
    assert find(BALLOON)[0].coverage == 1.0


def test_the_same_text_about_other_numbers_is_a_hit_only_where_variants_are_wanted() -> None:
    variant = BALLOON.replace("130", "170")
    assert found(variant) == []
    assert found(variant, rule=Rule(same_numbers=False)) == [0]
    assert found(variant + " The answer isn't 130." + " Pad." * 50) == [0], "the number stands nearby"
    assert found(variant + " Pad." * 200 + "130") == [], "the number stands elsewhere"


def test_less_than_the_coverage_is_no_hit() -> None:
    half = " ".join(BALLOON.split()[:18])
    assert found(half) == []
    assert found(half, rule=Rule(coverage=0.2, same_numbers=False)) == [0]


def test_boilerplate_that_items_share_makes_no_hit() -> None:
    ending = "where m and n are relatively prime positive integers, and find the sum of m and n as your answer."
    starts = ["Area {0} of a regular polygon can be written", "The chance that {0} coins fall alike is"]
    items = [f"{starts[number % 2].format(number + 10)} as a fraction {ending}" for number in range(30)]
    text = f"In another problem 11 the length of 10 is a fraction {ending}"
    assert found(text, items, Rule(same_numbers=False)) == []
    assert found(text, items[:1], Rule(same_numbers=False)) == [0], "not boilerplate where one item has it"


def test_an_item_that_several_sets_hold_is_found_in_all() -> None:
    index = Index([EvalSet("one", [BALLOON]), EvalSet("two", ["Something else", BALLOON])], Rule())
    assert [hit.item for hit in index.find(index.read([BALLOON]))[0]] == [0, 2]


@pytest.mark.parametrize(
    ("text", "is_hit"),
    [
        (MEDIUM, True),
        ("He asked: how many positive whole number divisors does 196 have in total", True),
        (MEDIUM.replace("196", "1001"), False),
        (MEDIUM.replace(" in total", ""), False),
    ],
)
def test_an_item_of_medium_length_must_be_there_whole(text: str, is_hit: bool) -> None:
    assert found(text) == ([1] if is_hit else [])


@pytest.mark.parametrize(
    ("text", "is_hit"),
    [
        (r"Compute \(\sin 0^{\circ}\)", True),
        ("compute sin 0°", True),
        ("Warm-up. Compute sin 0. Then go on.", True),
        ("Problem:\nCOMPUTE SIN 0\nSolution: it is 0", True),
        ("we compute sin 0 first", False),
        ("Compute sin 0 and cos 0.", False),
        ("Compute sin 1.", False),
        ("compute\nsin\n0", True),
    ],
)
def test_a_short_item_must_stand_alone(text: str, is_hit: bool) -> None:
    assert found(text) == ([2] if is_hit else [])


def test_a_short_item_is_not_put_together_from_two_texts() -> None:
    index = Index([EvalSet("set", [SHORT])], Rule())
    assert index.find(index.read(["Compute", "sin 0"])) == {}


@pytest.mark.parametrize(
    ("text", "is_hit"), [("Solve $x + 5 = 3$", True), ("Solve x-5=3.", False), ("Solve x+5<3.", False)]
)
def test_operators_matter_in_short_items(text: str, is_hit: bool) -> None:
    assert found(text) == ([3] if is_hit else [])


def test_items_too_short_to_tell_from_chance_are_counted_not_looked_for() -> None:
    index = Index([EvalSet("set", ITEMS)], Rule())
    assert found("Go on.") == []
    assert index.count_unusable() == {"set": 1}


@pytest.mark.parametrize("items", [[], [""], ["Go"], [SHORT], [BALLOON]])
def test_any_items_can_be_indexed(items: list[str]) -> None:
    for rule in (Rule(), Rule("open-r1")):
        assert found("Nothing of that kind is to be found in here at all, is it?", items, rule) == []


def test_the_original_rule_flags_any_run_of_words_as_written() -> None:
    rule = Rule("open-r1")
    run = " ".join(BALLOON.split()[3:11])
    hit = find(f"see   {run.upper()}\nthere", rule=rule)[0]
    assert (hit.item, hit.kind, hit.longest_run) == (0, "ngram", 8)
    assert found(" ".join(BALLOON.split()[3:10]), rule=rule) == []
    assert found(BALLOON.replace(" ", ", "), rule=rule) == []
    assert found(SHORT, rule=rule) == []


WORDS = st.lists(st.sampled_from("the a sum of 12 x, y. (z) is Find Ünder\u00a0bar".split(" ")), max_size=30).map(
    " ".join
)


@settings(deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=4), st.lists(WORDS, min_size=1, max_size=4), st.sampled_from([4, 8]))
def test_the_original_rule_agrees_with_its_plain_form(items: list[str], texts: list[str], n: int) -> None:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = text.lower().split()
        return {tuple(words[start : start + n]) for start in range(len(words) - n + 1)}

    index = Index([EvalSet("set", items)], Rule("open-r1", ngram=n))
    ours = {text: [hit.item for hit in hits] for text, hits in index.find(index.read(texts)).items()}
    plain = {
        number: [item for item, wanted in enumerate(items) if runs(text) & runs(wanted)]
        for number, text in enumerate(texts)
    }
    assert ours == {number: found for number, found in plain.items() if found}


@settings(deadline=None)
@given(st.text(max_size=200), st.text(max_size=80), st.text(max_size=80))
def test_an_item_that_can_be_looked_for_is_found_in_any_text_as_a_line_of_its_own(
    item: str, before: str, after: str
) -> None:
    index = Index([EvalSet("set", [item])], Rule())
    hits = index.find(index.read([f"{before}\n{item}\n{after}"]))
    has_drawing = "[asy]" in before + item + after
    assert hits or index.count_unusable() or has_drawing or before.endswith("\\") or item.endswith("\\")


def test_an_index_finds_the_same_in_another_process() -> None:
    index = Index([EvalSet("set", ITEMS)], Rule())
    again = pickle.loads(pickle.dumps(index))
    assert again.find(again.read([BALLOON, SHORT])) == index.find(index.read([BALLOON, SHORT]))


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"name": "coverge"}, "did you mean 'coverage'"),
        ({"ngram": 3}, "ngram must be at least 4 and at most 64, but is 3"),
        ({"coverage": 0}, "above 0 and at most 1"),
        ({"coverage": 1.2}, "is 1.2"),
    ],
)
def test_a_rule_out_of_range_is_refused(settings_: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Rule(**settings_)  # pyright: ignore
