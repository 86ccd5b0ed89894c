"""What the tests of files have in common."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


@pytest.fixture(autouse=True, scope="session")
def _itk_asks_no_scanco_reader() -> None:
    """Keep itk-ioscanco, with which the tests of ISQ files compare, out of ITK's search for a reader.

    Asked for a file of another kind it raises an error instead of saying that it is none of its own.
    """
    if find_spec("itk") is None:
        return
    from itk.support import base

    scanco = base.itk_base_global_module_data.get("IOScanco")
    if scanco is not None:
        scanco._factories = ()
