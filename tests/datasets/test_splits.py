"""Splits keep subjects together, cover every item once and depend on names and seed alone."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from monai_tasks.datasets import splits

FROZEN = [
    ["hippocampus_003", "hippocampus_004", "hippocampus_007", "IXI002", "hippocampus_006"],
    ["hippocampus_007", "hippocampus_004", "hippocampus_006", "IXI002", "hippocampus_003"],
]


def items_of(subjects: int, each: int = 1) -> list[dict]:
    return [{"image": f"{s}-{k}", "subject": f"sub{s:03d}"} for s in range(subjects) for k in range(each)]


def subjects_of(items: list[dict]) -> set[str]:
    return {item["subject"] for item in items}


@pytest.mark.parametrize("each", [1, 3])
def test_parts_share_no_subject_and_hold_every_item(each):
    items = items_of(40, each)
    parts = splits.split_by_subject(items, seed=3)
    assert list(parts) == ["training", "validation", "test"]
    assert sorted(item["image"] for part in parts.values() for item in part) == sorted(
        i["image"] for i in items
    )
    subjects = [subjects_of(part) for part in parts.values()]
    assert [len(names) for names in subjects] == [28, 4, 8]
    assert sum(map(len, subjects)) == len(set.union(*subjects))


@pytest.mark.parametrize(
    ("count", "fractions", "sizes"),
    [
        (208, (0.7, 0.1, 0.2), (145, 21, 42)),  # 20.8 and 41.6 are rounded, training takes the rest
        (3, (0.7, 0.1, 0.2), (1, 1, 1)),
        (5, (0.8, 0.2, 0.0), (4, 1, 0)),
        (4, (0.0, 0.0, 1.0), (0, 0, 4)),
        (4, (1 / 3, 1 / 3, 1 / 3), (2, 1, 1)),  # no item is lost to rounding
    ],
)
def test_sizes(count, fractions, sizes):
    parts = splits.split_by_subject(items_of(count), fractions=fractions)
    assert tuple(len(part) for part in parts.values()) == sizes


def test_split_depends_on_names_and_seed_not_on_the_order_of_items():
    items = items_of(30)
    mixed = random.Random(1).sample(items, len(items))
    for seed in (0, 1):
        first, second = splits.split_by_subject(items, seed), splits.split_by_subject(mixed, seed)
        assert all(subjects_of(first[part]) == subjects_of(second[part]) for part in first)
    assert subjects_of(splits.split_by_subject(items, 0)["test"]) != subjects_of(
        splits.split_by_subject(items, 1)["test"]
    )


def test_the_order_is_frozen():
    # Published weights rest on the split: this order must never change.
    names = ["hippocampus_003", "hippocampus_004", "hippocampus_006", "hippocampus_007", "IXI002"]
    assert splits.shuffled(names, 0) == FROZEN[0]
    assert splits.shuffled(names, 1) == FROZEN[1]


def test_order_is_uniform():
    # Over many seeds each of four names comes first about equally often: 500 of 2000, standard deviation 19.
    first = [splits.shuffled("abcd", seed)[0] for seed in range(2000)]
    assert all(abs(first.count(name) - 500) < 100 for name in "abcd")


@pytest.mark.parametrize("fractions", [(0.7, 0.3), (0.7, 0.2, 0.2), (1.1, -0.2, 0.1)])
def test_fractions_must_be_shares_of_one(fractions):
    with pytest.raises(ValueError, match="sum to 1"):
        splits.split_by_subject(items_of(10), fractions=fractions)


def of_sources(**counts: int) -> list[dict]:
    return [
        {"subject": f"{source}/{n}", "source": source} for source in counts for n in range(counts[source])
    ]


@pytest.mark.parametrize("counts", [{"epi": 40, "jopp": 36}, {"a": 10, "b": 10}, {"a": 60, "b": 20, "c": 20}])
@pytest.mark.parametrize("seed", range(5))
def test_stratified_parts_hold_each_source_in_its_share(counts, seed):
    items = of_sources(**counts)
    parts = splits.split_by_subject(items, seed, stratify="source")
    plain = splits.split_by_subject(items, seed)
    assert [len(part) for part in parts.values()] == [len(part) for part in plain.values()]
    for part in parts.values():
        for source, count in counts.items():
            found = sum(item["source"] == source for item in part)
            assert abs(found - len(part) * count / len(items)) <= 1
    mixed = random.Random(2).sample(items, len(items))
    again = splits.split_by_subject(mixed, seed, stratify="source")
    assert all(subjects_of(again[part]) == subjects_of(parts[part]) for part in parts)


def test_a_stratified_split_is_random_within_a_source():
    tests = [
        subjects_of(splits.split_by_subject(of_sources(a=10, b=10), seed, stratify="source")["test"])
        for seed in range(30)
    ]
    assert len(set().union(*tests)) == 20


def test_stratified_folds_hold_each_source():
    folded = splits.add_folds(of_sources(a=12, b=7), 3, stratify="source")
    for fold in range(3):
        sources = [item["source"] for item in folded if item["fold"] == fold]
        assert sources.count("a") == 4
        assert sources.count("b") in (2, 3)


def test_a_subject_of_two_sources_stays_in_one_part():
    items = [*of_sources(a=6, b=6), *({"subject": "both", "source": source} for source in "ab")]
    for seed in range(10):
        parts = splits.assemble("set", {}, items, [], seed=seed, stratify="source")
        assert sorted(sum(i["subject"] == "both" for i in parts[part]) for part in splits.PARTS) == [0, 0, 2]


def test_too_few_subjects():
    with pytest.raises(ValueError, match=r"2 subjects .* expected 3 or more"):
        splits.split_by_subject(items_of(2, each=9))


def test_folds_keep_subjects_together_and_are_even():
    items = items_of(23, each=2)
    folded = splits.add_folds(items, 5, seed=2)
    assert [item["image"] for item in folded] == [item["image"] for item in items]
    folds = [subjects_of([i for i in folded if i["fold"] == fold]) for fold in range(5)]
    assert sorted(map(len, folds)) == [4, 4, 5, 5, 5]
    assert len(set.union(*folds)) == 23
    assert "fold" not in items[0]


@pytest.mark.parametrize("folds", [1, 4])
def test_folds_need_subjects(folds):
    with pytest.raises(ValueError, match=f"{folds} folds of 3 subjects; expected 2 to 3"):
        splits.add_folds(items_of(3), folds)


def test_assemble_folds_the_training_part_only():
    datalist = splits.assemble("set", {"1": "organ"}, items_of(20), [], seed=4, folds=3)
    assert (datalist["name"], datalist["labels"], datalist["seed"], datalist["folds"]) == (
        "set",
        {"1": "organ"},
        4,
        3,
    )
    assert {item["fold"] for item in datalist["training"]} == {0, 1, 2}
    assert not any("fold" in item for item in datalist["validation"] + datalist["test"])
    assert "folds" not in splits.assemble("set", {}, items_of(20), [])


def test_a_published_test_part_is_kept_and_the_others_are_split_in_ratio():
    test = [{"image": "x", "subject": "other"}]
    datalist = splits.assemble("set", {}, items_of(40), [], test=test, fractions=(0.3, 0.1, 0.6), folds=2)
    assert [len(datalist[part]) for part in splits.PARTS] == [30, 10, 1]
    assert datalist["test"] == test
    assert datalist["fractions"] == pytest.approx([0.75, 0.25, 0])
    assert splits.assemble("set", {}, items_of(9), [], test=test, fractions=(0.5, 0, 0.5))["validation"] == []


def test_a_subject_inside_and_outside_of_a_published_test_part_is_refused():
    with pytest.raises(ValueError, match=r"1 subjects, such as sub003, in the test part and outside of it"):
        splits.assemble("set", {}, items_of(9), [], test=[{"image": "x", "subject": "sub003"}])
    with pytest.raises(ValueError, match=r"expected shares of training, validation and test"):
        splits.assemble("set", {}, items_of(9), [], test=[], fractions=(0, 0, 1))


def test_combinations_of_several_keys_are_spread_over_the_parts():
    items = [{**item, "label": n % 2, "region": n // 2 % 4} for n, item in enumerate(items_of(80))]
    parts = splits.split_by_subject(items, 1, (0.5, 0.2, 0.3), ("region", "label"))
    for part, expected in (("training", 5), ("validation", 2), ("test", 3)):
        pairs = [(item["region"], item["label"]) for item in parts[part]]
        assert {pair: pairs.count(pair) for pair in pairs} == dict.fromkeys(
            [(region, label) for region in range(4) for label in range(2)], expected
        )


def test_nothing_usable_names_the_first_reason():
    assert splits.nothing_usable([]) == "no cases found"
    text = splits.nothing_usable([{"subject": "a", "reason": "no label"}, {"subject": "b", "reason": "x"}])
    assert text == "none of 2 cases usable, such as a (no label)"


def test_subsets_hold_the_smaller_ones_and_whole_subjects():
    items = [{"subject": f"s{n // 2}", "image": n, "label": int(n // 2 % 4 == 0)} for n in range(80)]
    small, middle, all_of_them = splits.nested_subsets(items, [4, 20, 40], seed=3, stratify="label")
    assert all_of_them == items
    for own, size in ((small, 4), (middle, 20)):
        subjects = [item["subject"] for item in own]
        assert len(set(subjects)) == size
        assert all(subjects.count(name) == 2 for name in subjects)
        assert sum(item["label"] for item in own) == 2 * size / 4
    assert [item for item in middle if item in small] == small
    assert splits.nested_subsets(items[::-1], [4], 3, "label")[0] == small[::-1]
    assert splits.nested_subsets(items, [4], 4, "label")[0] != small
    # The order is not that of the split, by which the part was made.
    first = splits.split_by_subject(items, 3, (0.9, 0, 0.1), "label")["test"]
    assert {item["subject"] for item in first} != {item["subject"] for item in small}


@pytest.mark.parametrize("size", [0, 6])
def test_subsets_need_subjects(size):
    with pytest.raises(ValueError, match=rf"a subset of {size} of 5 subjects; expected 1 to 5"):
        splits.nested_subsets([{"subject": str(n)} for n in range(5)], [2, size])


@pytest.mark.parametrize("folds", [2, 3, 4])
def test_each_fold_has_its_share_of_each_value(folds):
    for seed in range(5):
        folded = splits.add_folds(of_sources(a=20, b=19), folds, seed, stratify="source")
        for source, total in (("a", 20), ("b", 19)):
            counts = [
                sum(i["fold"] == fold and i["source"] == source for i in folded) for fold in range(folds)
            ]
            assert total // folds <= min(counts) <= max(counts) <= -(-total // folds)


def test_a_rare_value_is_in_two_folds():
    # The two subjects of the rare value have others beside it, which would put them into one fold.
    for seed in range(20):
        items = [{"subject": f"s{n}", "label": n % 2} for n in range(12)]
        items += [{"subject": "s0", "label": "rare"}, {"subject": "s1", "label": "rare"}]
        items += [{"subject": f"t{n}", "label": "twice"} for n in range(2)]
        folded = splits.add_folds(items, 3, seed, stratify="label", whole="label")
        for label in ("rare", "twice"):
            assert len({item["fold"] for item in folded if item["label"] == label}) == 2
        sizes = Counter(fold for _, fold in {(item["subject"], item["fold"]) for item in folded})
        assert sum(sizes.values()) == 14
        assert max(sizes.values()) - min(sizes.values()) <= 1


def test_what_is_held_back_has_its_share_of_each_value():
    items = of_sources(a=40, b=20)
    for seed in range(10):
        left, held = splits.hold_back(items, 0.15, seed, stratify="source")
        assert [item for item in items if item in left] == left
        assert len(left) + len(held) == 60
        assert not subjects_of(left) & subjects_of(held)
        assert sorted(Counter(item["source"] for item in held).items()) == [("a", 6), ("b", 3)]
    drawn = {tuple(sorted(subjects_of(splits.hold_back(items, 0.15, seed)[1]))) for seed in range(10)}
    assert len(drawn) == 10
    assert len(splits.hold_back(items_of(3), 0.01)[1]) == 1
    with pytest.raises(ValueError, match="1 subjects to hold some back from"):
        splits.hold_back(items_of(1), 0.5)


def test_each_value_stays_and_is_held_back_where_it_can_be():
    for seed in range(20):
        items = [{"subject": f"s{n}", "label": 0} for n in range(30)]
        items += [{"subject": f"t{n}", "label": 1} for n in range(2)]
        items += [{"subject": "single", "label": 2}]
        left, held = splits.hold_back(items, 0.1, seed, stratify="label", whole="label")
        assert {item["label"] for item in left} == {0, 1, 2}
        assert {item["label"] for item in held} == {0, 1}
        assert len(held) <= 5
    two = [{"subject": "a", "label": 0}, {"subject": "b", "label": 1}]
    with pytest.raises(ValueError, match="none can be held back without a value of 'label' being lost"):
        splits.hold_back(two, 0.1, whole="label")
