"""The picture shows red where the explanation is for, blue where it is against, and grey elsewhere."""

import numpy as np
import pytest
import torch
from PIL import Image

from monai_tasks.explain import picture


@pytest.fixture
def image():
    """Grey of 0.5, with an explanation for at the upper left and against at the lower right."""
    explanation = torch.zeros(1, 512, 300)
    explanation[0, 60:140, 50:100] = 2e-3
    explanation[0, 360:440, 200:250] = -2e-3
    return torch.full((1, 512, 300), 0.5), explanation


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def panel(path, left=0):
    """The first panel of a picture without a caption."""
    return pixels(path)[picture.GAP :, picture.GAP + left :]


def test_red_is_for_and_blue_is_against(tmp_path, image):
    picture.draw(*image, tmp_path / "a.png")
    drawn = panel(tmp_path / "a.png")
    red, blue, grey = drawn[100, 75], drawn[400, 225], drawn[250, 150]
    assert red[0] - red[2] > 150
    assert blue[2] - blue[0] > 150
    np.testing.assert_allclose(grey, 128, atol=1)


def test_weak_relevance_is_weakly_coloured(tmp_path, image):
    grey, explanation = image
    explanation[0, 60:140, 200:250] = 0.5e-3
    picture.draw(grey, explanation, tmp_path / "a.png")
    drawn = panel(tmp_path / "a.png")
    strong, weak = (int(drawn[100, column, 0] - drawn[100, column, 2]) for column in (75, 225))
    assert weak == pytest.approx(strong / 4, rel=0.1)


def test_the_views_stand_side_by_side_on_one_scale_without_the_absent(tmp_path, image):
    grey, explanation = (part.numpy() for part in image)
    views = np.stack([grey, np.full_like(grey, np.nan), grey])
    both = np.stack([explanation, np.zeros_like(explanation), -explanation / 4])
    picture.draw(views, both, tmp_path / "two.png")
    picture.draw(grey, explanation, tmp_path / "one.png")
    one, two = pixels(tmp_path / "one.png"), pixels(tmp_path / "two.png")
    assert two.shape[1] - one.shape[1] == 300 + picture.GAP
    first, second = panel(tmp_path / "two.png"), panel(tmp_path / "two.png", left=300 + picture.GAP)
    assert second[100, 75, 2] > second[100, 75, 0]
    assert (second[100, 75, 2] - second[100, 75, 0]) < (first[100, 75, 0] - first[100, 75, 2]) / 2


def test_the_bar_ends_at_0_where_nothing_is_against(tmp_path, image):
    grey, explanation = image
    for name, shown in (("both", explanation), ("for", explanation.clamp(min=0))):
        picture.draw(grey, shown, tmp_path / f"{name}.png")
    low = {}
    for name in ("both", "for"):
        bar = panel(tmp_path / f"{name}.png", left=300 + picture.GAP)[:512]
        assert bar[0, 5, 0] - bar[0, 5, 2] > 150
        low[name] = bar[-1, 5]
    assert low["both"][2] - low["both"][0] > 150
    assert np.ptp(low["for"]) == 0


def test_an_explanation_of_0_leaves_the_image_grey(tmp_path, image):
    picture.draw(image[0], torch.zeros_like(image[0]), tmp_path / "a.png")
    assert np.ptp(panel(tmp_path / "a.png")[:512, :300], axis=2).max() == 0


def test_a_caption_adds_a_line_and_all_of_it_is_seen(tmp_path, image):
    picture.draw(*image, tmp_path / "without.png")
    picture.draw(*image, tmp_path / "with.png", caption="study 7: " + "probability of broken 0.93 " * 4)
    without, captioned = pixels(tmp_path / "without.png"), pixels(tmp_path / "with.png")
    assert captioned.shape[0] > without.shape[0]
    assert captioned.shape[1] > without.shape[1]
    assert captioned[: picture.GAP + picture.LINE].max() > 150


def test_what_does_not_fit_is_refused_and_leaves_no_file(tmp_path, image):
    grey, explanation = image
    absent = torch.full((2, 1, 8, 8), torch.nan)
    for pair in ((grey, explanation[:, 1:]), (grey[0], explanation[0]), (absent, absent)):
        with pytest.raises(ValueError, match=r"a\.png: "):
            picture.draw(*pair, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []
