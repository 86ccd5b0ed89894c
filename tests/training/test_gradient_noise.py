"""Noise on gradients: its formula, the step that it changes, and a run that goes on."""

from __future__ import annotations

import math
from copy import deepcopy

import pytest
import torch
from ignite.engine import Engine
from monai.bundle import ConfigParser
from monai.engines import SupervisedTrainer

from monai_tasks.training.gradient_noise import GradientNoise


def noise_of(iteration: int, count: int = 40_000, **options) -> torch.Tensor:
    """What is added to a gradient of zeros."""
    parameter = torch.nn.Parameter(torch.zeros(count))
    parameter.grad = torch.zeros(count)
    GradientNoise(torch.optim.SGD([parameter]), **options).add(iteration)
    return parameter.grad


@pytest.mark.parametrize(("eta", "gamma"), [(0.01, 0.55), (1.0, 0.55), (0.3, 0.0)])
@pytest.mark.parametrize("iteration", [0, 1, 9, 999])
def test_its_mean_and_variance_are_those_of_the_formula(eta, gamma, iteration):
    noise = noise_of(iteration, eta=eta, gamma=gamma)
    variance = eta / math.pow(1 + iteration, gamma)
    count = len(noise)
    # Five times the deviation of each estimate.
    assert abs(float(noise.mean())) < 5 * math.sqrt(variance / count)
    assert abs(float(noise.square().mean()) - variance) < 5 * variance * math.sqrt(2 / count)
    # A normal distribution has this share within one deviation.
    within = float((noise.abs() < math.sqrt(variance)).float().mean())
    assert within == pytest.approx(math.erf(1 / math.sqrt(2)), abs=0.015)


def test_it_follows_the_seed_and_the_iteration_alone():
    assert torch.equal(noise_of(7, seed=3), noise_of(7, seed=3))
    drawn = [noise_of(7, seed=3), noise_of(8, seed=3), noise_of(7, seed=4), noise_of(0, seed=3)]
    for place, one in enumerate(drawn):
        for other in drawn[place + 1 :]:
            assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < 0.03


def test_parameters_have_noise_of_their_own_and_none_where_there_is_no_gradient():
    first, second, frozen = (torch.nn.Parameter(torch.zeros(9)) for _ in range(3))
    first.grad, second.grad = torch.ones(9), torch.ones(9)
    optimizer = torch.optim.SGD([{"params": [first, frozen]}, {"params": [second]}])
    GradientNoise(optimizer).add(0)
    assert frozen.grad is None
    assert not torch.equal(first.grad, second.grad)


def trained(iterations: int, eta: float, start: int = 0, weights: dict | None = None) -> dict:
    """The weights after iterations of plain gradient descent, from iteration `start` on."""
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 1)
    if weights is not None:
        network.load_state_dict(weights)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[{"image": torch.ones(2, 3), "label": torch.zeros(2, 1)}] * (start + iterations),
        network=network,
        optimizer=optimizer,
        loss_function=torch.nn.MSELoss(),
        train_handlers=[GradientNoise(optimizer, eta=eta, seed=5)],
        decollate=False,
    )
    trainer.state.iteration = start
    for batch in list(trainer.data_loader)[start:]:
        trainer.state.iteration += 1
        trainer._iteration(trainer, batch)
    return deepcopy(network.state_dict())


def test_the_step_is_that_of_gradient_and_noise():
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 1)
    noisy, plain = trained(1, eta=0.3), trained(1, eta=0.0)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    GradientNoise(optimizer, eta=0.3, seed=5).add(0)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(noisy[name], plain[name] - 0.1 * parameter.grad)
        assert parameter.grad.abs().min() > 0


def test_a_run_that_goes_on_draws_what_it_would_have_drawn():
    whole = trained(6, eta=0.3)
    half = trained(3, eta=0.3)
    rest = trained(3, eta=0.3, start=3, weights=half)
    again = trained(3, eta=0.3, start=0, weights=half)
    assert all(torch.equal(whole[name], rest[name]) for name in whole)
    assert not torch.equal(whole["weight"], again["weight"])


def test_scaled_gradients_get_noise_of_the_same_size():
    """As mixed precision scales them: the noise comes after unscaling."""
    steps = []
    for scale in (1.0, 2.0**12):
        parameter = torch.nn.Parameter(torch.zeros(5))
        optimizer = torch.optim.SGD([parameter], lr=1.0)
        GradientNoise(optimizer, eta=0.3).attach(Engine(lambda engine, batch: None))
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        scaler.scale(parameter.sum()).backward()
        scaler.step(optimizer)
        steps.append(parameter.detach().clone())
    torch.testing.assert_close(*steps)
    assert not torch.allclose(steps[0], -torch.ones(5), atol=0.01)


def test_a_config_names_it_and_negative_numbers_are_refused():
    config = {
        "parameter": "$torch.nn.Parameter(torch.zeros(2))",
        "optimizer": {"_target_": "torch.optim.SGD", "params": ["@parameter"]},
        "noise": {
            "_target_": "monai_tasks.training.gradient_noise.GradientNoise",
            "optimizer": "@optimizer",
            "eta": 0.3,
        },
        "imports": ["$import torch"],
    }
    noise = ConfigParser(config).get_parsed_content("noise")
    assert noise.deviation(0) == pytest.approx(0.3**0.5)
    for options in ({"eta": -0.1}, {"gamma": -1}, {"seed": -1}, {"eta": float("nan")}):
        with pytest.raises(ValueError, match="expected 0 or more"):
            GradientNoise(noise.optimizer, **options)
