"""Explainers by name, and whether they point at what a trained network was taught."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from monai_tasks.explain.explainers import NAMES, explainer
from monai_tasks.explain.measure import times_chance
from monai_tasks.networks.rx import RxNet

SIDE, RADIUS = 48, 3
# At least, on images that the network has not seen. All in the spot would be 79; Grad-CAM has a grid of 6x6.
TIMES_CHANCE = {"relevance": 10.0, "gradcam": 3.0}


def spots(count, seed):
    """Images of noise on a ramp; each second one has a bright spot somewhere. Gives images, labels and the spots."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    images, regions = [], []
    for number in range(count):
        slope = generator.uniform(-0.2, 0.2, 2)
        image = 0.4 + slope[0] * rows / SIDE + slope[1] * columns / SIDE
        image += generator.normal(0.0, 0.05, image.shape)
        place = generator.uniform(8, SIDE - 8, 2)
        region = np.hypot(rows - place[0], columns - place[1]) <= RADIUS
        region &= bool(number % 2)
        images.append(image + 0.4 * region)
        regions.append(region)
    labels = torch.arange(count) % 2
    return torch.tensor(np.stack(images)[:, None], dtype=torch.float32), labels, np.stack(regions)


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    network = RxNet(blocks=3, channels=6, hidden=(16, 8))
    images, labels, _ = spots(320, seed=1)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for step in range(80):
        part = slice(32 * (step % 10), 32 * (step % 10) + 32)
        loss = torch.nn.functional.cross_entropy(network(images[part]), labels[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_explained_lies_in_the_spot(trained, name):
    images, labels, regions = spots(40, seed=2)
    with torch.inference_mode():
        assert (trained(images).argmax(1) == labels).float().mean() >= 0.95
        explain = explainer(name, trained)
        factors = [times_chance(explain(images[i])[0], regions[i]) for i in range(1, 40, 2)]
    assert np.median(factors) >= TIMES_CHANCE[name]


def test_an_unknown_name_is_refused(trained):
    with pytest.raises(ValueError, match="explain 'lime': expected one of relevance, gradcam"):
        explainer("lime", trained)


def test_the_names_are_listed_without_torch():
    code = "import sys; from monai_tasks.explain.explainers import NAMES; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_grad_cam_needs_no_zennit(trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "monai_tasks.explain._zennit", None)
    for module in ("grad_cam", "relevance", "score"):
        monkeypatch.delitem(sys.modules, f"monai_tasks.explain.{module}", raising=False)
    assert callable(explainer("gradcam", trained))
    with pytest.raises(ImportError, match="_zennit"):
        explainer("relevance", trained)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_gives_what_the_cpu_gives(trained, name):
    image = spots(2, seed=3)[0][1]
    expected = explainer(name, trained)(image)
    with torch.inference_mode(), torch.autocast("cuda", dtype=torch.bfloat16):
        found = explainer(name, trained.to("cuda"))(image)
    trained.to("cpu")
    assert found.device == image.device
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3 * float(expected.abs().max()))
