"""A served network without weights says so to the client, not only to the log."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from monai_tasks.experiments.label_untrained import RefuseUntrained
from monai_tasks.io.files import sha256


class HTTPException(Exception):
    """In place of FastAPI's, which is not a requirement of this package."""

    def __init__(self, status_code: int, detail: str) -> None:
        super().__init__(f"{status_code}: {detail}")


@pytest.fixture
def refuse(tmp_path: Path) -> RefuseUntrained:
    (tmp_path / "model.pt").write_text("initial")
    return RefuseUntrained(tmp_path / "model.pt", sha256(tmp_path / "model.pt"), "organ_mri_segmentation")


def test_the_web_server_is_told_in_its_own_terms(
    refuse: RefuseUntrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", types.SimpleNamespace(HTTPException=HTTPException))
    with pytest.raises(HTTPException, match="409: organ_mri_segmentation has no weights yet"):
        refuse({})


def test_it_needs_no_web_server(refuse: RefuseUntrained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(ValueError, match="--weights FILE"):
        refuse({})


def test_other_weights_pass(refuse: RefuseUntrained) -> None:
    Path(refuse.weights).write_text("trained")
    data = {"image": "a"}
    assert refuse(data) is data
