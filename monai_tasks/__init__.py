"""Musculoskeletal and neuro imaging jobs as MONAI bundles over one shared library."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("monai_tasks")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
