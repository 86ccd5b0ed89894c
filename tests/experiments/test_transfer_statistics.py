"""Means over seeds and paired differences, against slow restatements."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from monai_tasks.catalog import open_bundle
from monai_tasks.evaluation.subject_bootstrap import draws
from monai_tasks.experiments.transfer_answers import ClassAnswers, MapAnswers, measure_of
from monai_tasks.experiments.transfer_statistics import Difference, statistics_of
from monai_tasks.io.errors import InputError

SUBJECTS = 12
RESAMPLES = 400
CASES = [f"s{n:02d}_{k}" for n in range(SUBJECTS) for k in range(1 + n % 2)]
OF = {case: case.split("_")[0] for case in CASES}
SEEDS = (0, 5)


def maps(shift: float, seed: int, without: tuple[str, ...] = ()) -> MapAnswers:
    """Values that differ much from subject to subject, and little from arm to arm."""
    levels = np.random.default_rng(0).uniform(0.2, 0.8, len(CASES))
    noise = np.random.default_rng(seed + 100).normal(0, 0.01, len(CASES))
    values = dict(zip(CASES, levels + noise + shift, strict=True))
    kept = [case for case in CASES if case not in without]
    return MapAnswers({case: OF[case] for case in kept}, {case: values[case] for case in kept})


def classes(skill: float, seed: int) -> ClassAnswers:
    rng = np.random.default_rng(seed)
    labels = np.array([int(OF[case][-1] in "02468") for case in CASES])
    positive = 1 / (1 + np.exp(-(skill * (labels - 0.5) + rng.normal(0, 1, len(CASES)))))
    return ClassAnswers(
        OF,
        "auroc",
        dict(zip(CASES, labels.tolist(), strict=True)),
        {case: (1 - p, p) for case, p in zip(CASES, positive.tolist(), strict=True)},
        dict(zip(CASES, (positive > 0.5).astype(int).tolist(), strict=True)),
    )


def resampled(metric) -> np.ndarray:
    """The metric of each resample, with the cases of the drawn subjects really written out."""
    subjects = sorted(set(OF.values()))
    values = []
    for weights in draws(SUBJECTS, len(CASES), RESAMPLES, 0):
        for counts in weights:
            cases = []
            for subject, count in zip(subjects, counts, strict=True):
                cases += [case for case in CASES if OF[case] == subject] * int(count)
            values.append(metric(cases))
    return np.array(values)


def test_means_and_differences_of_maps_are_those_of_cases_drawn_by_subject():
    runs = {
        ("4", arm, seed): maps(shift, seed + place * 10)
        for place, (arm, shift) in enumerate((("scratch", 0.0), ("source", 0.05)))
        for seed in SEEDS
    }
    found = statistics_of(runs, [("source", "scratch")], resamples=RESAMPLES)
    assert (found.subjects, found.cases, found.left_out) == (SUBJECTS, len(CASES), 0)
    source = next(group for group in found.groups if group.arm == "source")
    own = [np.mean(list(runs["4", "source", seed].values.values())) for seed in SEEDS]
    assert source.mean == pytest.approx(np.mean(own))
    assert source.deviation == pytest.approx(np.std(own, ddof=1))

    def difference(cases: list[str]) -> float:
        return float(
            np.mean(
                [
                    runs["4", "source", seed].values[case] - runs["4", "scratch", seed].values[case]
                    for seed in SEEDS
                    for case in cases
                ]
            )
        )

    (one,) = found.differences
    low, high = np.percentile(resampled(difference), [2.5, 97.5])
    assert (one.value, one.low, one.high) == pytest.approx((difference(CASES), low, high))
    # The subjects differ by ten times as much: only pairs show it.
    assert source.low < next(group for group in found.groups if group.arm == "scratch").high
    assert one.sign == 1


def test_differences_of_classes_are_those_of_the_whole_metric():
    runs = {
        ("4", arm, seed): classes(skill, seed) for arm, skill in (("a", 0.5), ("b", 3.0)) for seed in SEEDS
    }
    found = statistics_of(runs, [("b", "a")], resamples=RESAMPLES)

    def auroc(arm: str, cases: list[str]) -> float:
        values = []
        for seed in SEEDS:
            run = runs["4", arm, seed]
            labels = [run.labels[case] for case in cases]
            if len(set(labels)) < 2:
                return np.nan
            values.append(roc_auc_score(labels, [run.probabilities[case][1] for case in cases]))
        return float(np.mean(values))

    (one,) = found.differences
    drawn = resampled(lambda cases: auroc("b", cases) - auroc("a", cases))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    assert (one.value, one.low, one.high) == pytest.approx((auroc("b", CASES) - auroc("a", CASES), low, high))


def test_only_cases_and_seeds_that_both_have_are_compared():
    runs = {
        ("4", "scratch", 0): maps(0.0, 1),
        ("4", "scratch", 1): maps(0.0, 2, without=("s03_0",)),
        ("4", "source", 1): maps(0.1, 3, without=("s05_1", "s05_0")),
        ("8", "source", 1): maps(0.1, 4),
    }
    found = statistics_of(runs, [("source", "scratch")], resamples=50)
    assert (found.cases, found.left_out, found.subjects) == (len(CASES) - 3, 3, SUBJECTS - 1)
    (one,) = found.differences
    assert (one.subset, list(one.by_seed)) == ("4", [1])
    assert [(group.subset, group.arm, list(group.values)) for group in found.groups] == [
        ("4", "scratch", [0, 1]),
        ("4", "source", [1]),
        ("8", "source", [1]),
    ]


def test_one_subject_has_no_interval_and_no_runs_have_no_statistics():
    run = MapAnswers({"x": "s"}, {"x": 0.5})
    better = MapAnswers({"x": "s"}, {"x": 0.9})
    found = statistics_of({("4", "a", 0): run, ("4", "b", 0): better}, [("b", "a")])
    assert found.groups[0].mean == 0.5
    assert (found.groups[0].low, found.differences[0].low, found.differences[0].sign) == (None, None, 0)
    nothing = statistics_of({}, [("b", "a")])
    assert (nothing.groups, nothing.differences, nothing.cases) == ((), (), 0)


@pytest.mark.parametrize(
    ("low", "high", "by_seed", "sign"),
    [
        (0.01, 0.09, {0: 0.04, 1: 0.06}, 1),
        (-0.09, -0.01, {0: -0.04, 1: -0.06}, -1),
        (-0.01, 0.09, {0: 0.04, 1: 0.06}, 0),
        (0.0, 0.09, {0: 0.04, 1: 0.06}, 0),
        (0.01, 0.09, {0: -0.02, 1: 0.12}, 0),
        (None, None, {0: 0.04}, 0),
    ],
)
def test_a_difference_has_a_sign_only_where_interval_and_seeds_agree(low, high, by_seed, sign):
    assert Difference("4", "a", "b", 0.05, low, high, by_seed).sign == sign


def test_a_metric_is_one_that_rises():
    segmentation = open_bundle("hippocampus_mri_segmentation")
    classification = open_bundle("wrist_xray_fracture_classification")
    grades = open_bundle("hrpqct_motion_classification")
    assert measure_of(segmentation, None, None).metric == "dice"
    own = measure_of(classification, None, "study")
    assert (own.cases, own.seen, own.title) == ("studies", "images", "AUROC of studies")
    assert measure_of(grades, None, None).metric == "macro_auroc"
    assert measure_of(grades, "quadratic_kappa", None).heading == "Quadratic kappa"
    for bundle, metric in ((segmentation, "hd95_mm"), (classification, "brier"), (grades, "auroc")):
        with pytest.raises(InputError, match=f"'{metric}'; expected one of"):
            measure_of(bundle, metric, None)
    with pytest.raises(InputError, match="expected none for a segmentation"):
        measure_of(segmentation, None, "study")


def test_a_network_answers_for_what_it_looks_at_and_for_studies_of_images():
    studies = open_bundle("wrist_xray_fracture_study_classification")
    scans = open_bundle("hrpqct_motion_classification")
    own = measure_of(studies, None, None)
    assert (own.cases, own.seen) == ("studies", "studies")
    assert measure_of(scans, None, None).title == "AUROC, mean of classes"
    for bundle, level, expected in ((studies, "image", "study"), (scans, "study", "image")):
        with pytest.raises(InputError, match=f"'{level}'; expected {expected}$"):
            measure_of(bundle, None, level)
