"""Adds the top-level `bundles/` folder to the package as `monai_tasks/bundles`; everything else is in setup.cfg."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["monai_tasks", "monai_tasks.*"]), "monai_tasks.bundles"],
    package_dir={"monai_tasks.bundles": "bundles"},
)
