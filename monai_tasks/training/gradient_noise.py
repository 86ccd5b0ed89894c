"""Noise on the gradients of a training, less with every step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ignite.engine import Engine


class GradientNoise:
    """Adds noise from N(0, eta / (1 + t)^gamma) to every gradient before the optimizer's step [Neelakantan2015].

    The second number is the variance, and t counts the trainer's iterations from 0. The authors take gamma 0.55 and try
    0.01, 0.3 and 1 for eta.

    Noise depends on the seed and the iteration alone: a run that goes on after an interruption draws what it would have
    drawn, and all processes of a distributed run draw the same, so that their weights stay the same. With mixed
    precision it is added to the gradients as they are after unscaling.

    Args:
        optimizer: of the trainer.
        eta: of the variance, 0 or more; 0 adds nothing.
        gamma: how fast the variance falls, 0 or more.
        seed: of the noise, 0 or more.

    Raises:
        ValueError: when `eta`, `gamma` or the seed is negative.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, eta: float = 0.01, gamma: float = 0.55, seed: int = 0
    ) -> None:
        if not (eta >= 0 and gamma >= 0 and seed >= 0):
            raise ValueError(f"eta {eta}, gamma {gamma}, seed {seed}; expected 0 or more")
        self.optimizer = optimizer
        self.eta = float(eta)
        self.gamma = float(gamma)
        self.seed = int(seed)

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""

        def add(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
            self.add(max(engine.state.iteration - 1, 0))

        if self.eta > 0:
            # At the optimizer, not at the end of the backward pass: where gradients of several batches are summed up,
            # and where they are scaled, that comes too early.
            self.optimizer.register_step_pre_hook(add)

    def deviation(self, iteration: int) -> float:
        """The standard deviation of the noise.

        Args:
            iteration: t, counted from 0.
        """
        return (self.eta / (1 + iteration) ** self.gamma) ** 0.5

    @torch.no_grad()
    def add(self, iteration: int) -> None:
        """Add the noise of one iteration to the gradients that there are.

        Args:
            iteration: t, counted from 0.
        """
        # Mixed into 32 bits, for torch's generator on a CPU takes no others.
        seed = int(np.random.SeedSequence([self.seed, iteration]).generate_state(1)[0])
        generators: dict[torch.device, torch.Generator] = {}
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                device = parameter.grad.device
                if device not in generators:
                    generators[device] = torch.Generator(device).manual_seed(seed)
                noise = torch.empty_like(parameter.grad)
                noise.normal_(0.0, self.deviation(iteration), generator=generators[device])
                parameter.grad.add_(noise)
