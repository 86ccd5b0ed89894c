"""Stands in for torchvision, which MONAI Label imports but does not use for bundles."""
