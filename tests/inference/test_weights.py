"""Weights fit or are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_tasks.inference.weights import WeightsError, load_weights


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv3d(1, 2, 3), torch.nn.BatchNorm3d(2))


@pytest.mark.parametrize("nested", [None, "network", "model", "state_dict"])
def test_loads_a_flat_or_nested_state_dictionary(
    network: torch.nn.Module, tmp_path: Path, nested: str
) -> None:
    state = {key: value + 1 for key, value in network.state_dict().items()}
    torch.save({nested: state, "epoch": 3} if nested else state, tmp_path / "model.pt")
    load_weights(network, tmp_path / "model.pt")
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda state: state.pop("0.bias"), "0.bias is missing"),
        (lambda state: state.update(extra=torch.zeros(1)), "extra is unknown"),
        (
            lambda state: state.update({"0.weight": torch.zeros(2, 2, 3, 3, 3)}),
            r"\(2, 2, 3, 3, 3\), not \(2, 1,",
        ),
        (lambda state: state.clear(), "and 4 more"),
    ],
)
def test_says_what_does_not_fit(network: torch.nn.Module, tmp_path: Path, change, text: str) -> None:
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = dict(network.state_dict())
    change(state)
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match=rf"other\.pt.*{text}"):
        load_weights(network, tmp_path / "other.pt")
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_refuses_a_damaged_file_and_does_not_recommend_to_trust_it(
    network: torch.nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    torch.save(network.state_dict(), path)
    whole = path.read_bytes()
    for content in (b"", b"weights\n", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"model\.pt: damaged") as caught:
            load_weights(network, path)
        assert "weights_only" not in str(caught.value)


def test_runs_no_code_of_a_file(network: torch.nn.Module, tmp_path: Path) -> None:
    torch.save(network, tmp_path / "whole.pt")
    with pytest.raises(WeightsError, match="other things than tensors"):
        load_weights(network, tmp_path / "whole.pt")


def test_refuses_what_is_no_state_dictionary(network: torch.nn.Module, tmp_path: Path) -> None:
    for content in (torch.zeros(3), {"learning_rate": 0.1}):
        torch.save(content, tmp_path / "x.pt")
        with pytest.raises(WeightsError, match="expected a state dictionary"):
            load_weights(network, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match="no such file"):
        load_weights(network, tmp_path / "absent.pt")
