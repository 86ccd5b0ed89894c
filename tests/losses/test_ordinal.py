"""Losses of grades, against slow restatements."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from monai.bundle import ConfigParser

from monai_tasks.losses.ordinal import ScanGradeLoss, inverse_frequency

WEIGHTS = [0.5, 1.0, 2.0, 3.0, 8.0]


@pytest.fixture
def logits() -> torch.Tensor:
    """Of three scans of four slices."""
    return torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(2)) * 2


LABELS = torch.tensor([0, 3, 4])
SOFT = torch.tensor([[1.0, 0, 0, 0, 0], [0, 0, 1 / 3, 2 / 3, 0], [0, 0, 0.25, 0.25, 0.5]])


def restated(kind: str, logits: torch.Tensor, target: torch.Tensor, weights: list[float]) -> float:
    total = weight_sum = 0.0
    for scan, wanted in zip(logits, target.tolist(), strict=True):
        shares = wanted if isinstance(wanted, list) else [float(k == wanted) for k in range(5)]
        weight = sum(share * w for share, w in zip(shares, weights, strict=True))
        losses = []
        for number in range(scan.shape[1]):
            powers = [math.exp(value) for value in scan[:, number].tolist()]
            found = [power / sum(powers) for power in powers]
            if kind == "ordinal":
                losses.append(sum((sum(found[:k]) - sum(shares[:k])) ** 2 for k in range(1, 6)))
            else:
                losses.append(-sum(share * math.log(p) for share, p in zip(shares, found, strict=True)))
        total += weight * sum(losses) / len(losses)
        weight_sum += weight
    return total / weight_sum


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize(
    ("kind", "target"),
    [("consensus", LABELS), ("soft", SOFT), ("ordinal", LABELS), ("ordinal", SOFT)],
)
def test_it_is_the_formula(logits, kind, target, weights):
    found = ScanGradeLoss(kind, class_weights=weights)(logits, target)
    assert found.shape == ()
    assert float(found) == pytest.approx(restated(kind, logits, target, weights or [1.0] * 5), rel=1e-5)


def test_consensus_is_torchs_weighted_cross_entropy_of_the_slices(logits):
    expected = torch.nn.functional.cross_entropy(
        logits, LABELS[:, None].expand(3, 4), weight=torch.tensor(WEIGHTS)
    )
    torch.testing.assert_close(ScanGradeLoss(class_weights=WEIGHTS)(logits, LABELS), expected)


def test_farther_grades_cost_more_only_where_order_counts():
    near, far = (torch.full((1, 5), -9.0).index_fill(1, torch.tensor([k]), 9.0) for k in (1, 4))
    target = torch.tensor([0])
    ordinal, consensus = ScanGradeLoss("ordinal"), ScanGradeLoss("consensus")
    assert float(ordinal(near, target)) == pytest.approx(1, abs=1e-3)
    assert float(ordinal(far, target)) == pytest.approx(4, abs=1e-3)
    torch.testing.assert_close(consensus(near, target), consensus(far, target))


@pytest.mark.parametrize("kind", ["soft", "ordinal"])
def test_the_raters_distribution_is_what_it_learns(kind):
    logits = torch.zeros(1, 5, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.2)
    for _ in range(200):
        optimizer.zero_grad()
        ScanGradeLoss(kind)(logits, SOFT[2:]).backward()
        optimizer.step()
    torch.testing.assert_close(logits.detach().softmax(1), SOFT[2:], atol=0.03, rtol=0)


def test_one_slice_may_lack_its_axis_and_labels_have_one_more(logits):
    loss = ScanGradeLoss()
    assert torch.equal(loss(logits[..., 0], LABELS), loss(logits[..., :1], LABELS[:, None]))


def test_scans_that_all_weigh_nothing_give_zero(logits):
    loss = ScanGradeLoss(class_weights=[0, 1, 1, 1, 1])
    assert float(loss(logits[:1], LABELS[:1])) == 0


@pytest.mark.parametrize(
    ("kind", "target", "message"),
    [
        ("consensus", SOFT, r"expected, for 3 scans and 5 classes, integers \(B,\)"),
        ("soft", LABELS, r"distributions \(B, K\)"),
        ("ordinal", LABELS.float(), r"integers \(B,\) or distributions"),
        ("ordinal", SOFT[:2], "for 3 scans"),
        ("consensus", torch.tensor([0, 1, 5]), "classes \\[0, 1, 5\\]; expected 0 to 4"),
        ("soft", SOFT * 2, "expected distributions, each of which sums to 1"),
    ],
)
def test_targets_of_another_kind_are_refused(logits, kind, target, message):
    with pytest.raises(ValueError, match=message):
        ScanGradeLoss(kind)(logits, target)


def test_other_arguments_are_refused(logits):
    with pytest.raises(ValueError, match="kind 'hard'; expected one of consensus, soft, ordinal"):
        ScanGradeLoss("hard")
    for weights in ([1, 1], [1, 1, 1, 1, -1], [0] * 5):
        with pytest.raises(ValueError, match="class_weights"):
            ScanGradeLoss(class_weights=weights)
    with pytest.raises(ValueError, match=r"expected \(B, 5, S\) or \(B, 5\)"):
        ScanGradeLoss()(logits[:, :4], LABELS)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_rare_classes_weigh_more(power):
    labels = [0] * 334 + [1] * 97 + [2] * 42 + [3] * 24 + [4] * 2
    weights = inverse_frequency(labels, power=power)
    counts = Counter(labels)
    assert sum(weights[label] for label in labels) == pytest.approx(len(labels))
    for k in range(5):
        assert weights[k] / weights[0] == pytest.approx((counts[0] / counts[k]) ** power)


def test_a_class_without_a_case_weighs_as_one_with_a_single_case():
    assert inverse_frequency([0, 0, 0, 0, 1], num_classes=3) == pytest.approx([0.625, 2.5, 2.5])
    for labels in ([], [0, 3], [-1]):
        with pytest.raises(ValueError, match="each from 0 to 2"):
            inverse_frequency(labels, num_classes=3)


def test_a_config_names_it(logits):
    config = {
        "weights": {
            "_target_": "monai_tasks.losses.ordinal.inverse_frequency",
            "labels": [0, 0, 1, 2, 3, 4],
            "power": 0.5,
        },
        "loss": {
            "_target_": "monai_tasks.losses.ordinal.ScanGradeLoss",
            "kind": "ordinal",
            "class_weights": "@weights",
        },
    }
    loss = ConfigParser(config).get_parsed_content("loss")
    expected = ScanGradeLoss("ordinal", class_weights=inverse_frequency([0, 0, 1, 2, 3, 4], power=0.5))
    assert torch.equal(loss(logits, SOFT), expected(logits, SOFT))
