"""The network runs in 16 bits where the device is fast at it, and the result is float32."""

from __future__ import annotations

import pytest
import torch
from monai.inferers import SimpleInferer, SlidingWindowInferer

from monai_tasks.inference import autocast
from monai_tasks.inference.autocast import AutocastInferer, lower_precision


class Recorder(torch.nn.Module):
    """A convolution that remembers in which type it was computed."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = torch.nn.Conv3d(1, 2, 3, padding=1)
        self.dtypes: list[torch.dtype] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        scores = self.convolution(image)
        self.dtypes.append(scores.dtype)
        return scores


@pytest.fixture
def image():
    return torch.randn(1, 1, 8, 9, 7, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def bf16(monkeypatch):
    """As on a processor with bfloat16 instructions; torch emulates them elsewhere."""
    monkeypatch.setattr(autocast, "lower_precision", lambda device: torch.bfloat16)


@pytest.mark.parametrize("bf16_instructions", [False, True])
@pytest.mark.parametrize("tiles", [False, True])
def test_a_cpu_needs_instructions_for_bfloat16(monkeypatch, bf16_instructions, tiles):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16_instructions)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
    expected = torch.bfloat16 if bf16_instructions or tiles else None
    assert lower_precision("cpu") is expected
    assert lower_precision(torch.device("cpu")) is expected


@pytest.mark.parametrize(("native", "expected"), [(True, torch.bfloat16), (False, torch.float16)])
def test_an_old_cuda_device_gets_float16(monkeypatch, native, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert lower_precision("cuda:1") is expected


def test_other_devices_get_none():
    assert lower_precision("meta") is None


def test_the_network_runs_in_16_bits_and_the_result_is_float32(bf16, image):
    network = Recorder()
    scores = AutocastInferer(SimpleInferer())(image, network)
    assert network.dtypes == [torch.bfloat16]
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, network(image), rtol=0.02, atol=0.02)
    assert network.dtypes[-1] == torch.float32  # autocast ended with the call


def test_gradients_flow_to_float32_weights(bf16, image):
    network = Recorder()
    AutocastInferer(SimpleInferer())(image, network).square().mean().backward()
    gradient = network.convolution.weight.grad
    assert gradient.dtype == torch.float32
    assert gradient.abs().max() > 0


def test_switched_off_it_changes_nothing(bf16, image):
    network = Recorder()
    scores = AutocastInferer(SimpleInferer(), enabled=False)(image, network)
    assert network.dtypes == [torch.float32]
    assert torch.equal(scores, network(image))


def test_without_a_16_bit_type_it_changes_nothing(monkeypatch, image):
    monkeypatch.setattr(autocast, "lower_precision", lambda device: None)
    network = Recorder()
    scores = AutocastInferer(SimpleInferer())(image, network)
    assert network.dtypes == [torch.float32]
    assert torch.equal(scores, network(image))


def test_the_inner_inferer_gets_what_the_call_was_given(bf16, image):
    seen = []

    def network(windows: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        seen.append((tuple(windows.shape), args, kwargs))
        return windows

    inner = SlidingWindowInferer((8, 9, 4), overlap=0.0)
    result = AutocastInferer(inner)(image, network, "extra", depth=3)
    assert [(args, kwargs) for _, args, kwargs in seen] == [(("extra",), {"depth": 3})] * 2
    assert {shape for shape, _, _ in seen} == {(1, 1, 8, 9, 4)}
    assert torch.equal(result, image)
