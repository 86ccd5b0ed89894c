"""Layouts are found by name, and the command line describes each."""

from __future__ import annotations

import re

from monai_tasks.cli.datalist import command
from monai_tasks.datasets import (
    brats,
    chestxray14,
    decathlon,
    hrpqct,
    ixi,
    knee_mhd,
    mura,
    radiographs,
)
from monai_tasks.datasets.layouts import LAYOUTS, lister


def test_each_layout_is_listed_by_its_module():
    modules = (brats, chestxray14, decathlon, hrpqct, ixi, knee_mhd, mura, radiographs)
    functions = [module.datalist for module in modules]
    assert [lister(layout) for layout in LAYOUTS] == functions


def test_the_help_describes_each_layout():
    assert tuple(re.findall(r"^    (\w+)  +\S", command.help, re.MULTILINE)) == LAYOUTS
