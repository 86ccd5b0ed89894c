"""One call for the evaluation of every bundle, whatever its kind."""

from __future__ import annotations

from os import PathLike
from typing import Any

from monai_tasks.catalog import Bundle, BundleError, open_bundle
from monai_tasks.evaluation.outcome import Summary

SEGMENTATION, CLASSIFICATION = "segmentation", "classification"
# What the evaluation of each kind takes beside what all take.
OPTIONS = {
    SEGMENTATION: ("images", "configs", "settings"),
    CLASSIFICATION: ("part", "by", "compare", "choose_threshold"),
}


def evaluate(
    bundle: Bundle | str | PathLike[str],
    predictions: str | PathLike[str],
    references: str | PathLike[str],
    output: str | PathLike[str],
    **options: Any,
) -> Summary:
    """Compare predictions with references as the kind of the bundle asks.

    Args:
        bundle: name or folder of a bundle, or the bundle itself.
        predictions: the output folder of `infer`, or as the evaluation of the kind takes them.
        references: a datalist, or as the evaluation of the kind takes them.
        output: folder to write to; made if missing.
        options: of `monai_tasks.evaluation.evaluate.evaluate` or
            `monai_tasks.evaluation.evaluate_classification.evaluate`.

    Raises:
        BundleError: when there is no such bundle, or it is of another kind.
        ValueError: when an option is of the other kind, and what the evaluation raises.
    """
    bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    if bundle.kind not in OPTIONS:
        kinds = " or ".join(OPTIONS)
        raise BundleError(f"{bundle.name}: a bundle of kind {bundle.kind!r}; expected {kinds}")
    for kind, names in OPTIONS.items():
        wrong = [name for name in names if name in options]
        if kind != bundle.kind and wrong:
            known = ", ".join(OPTIONS[bundle.kind])
            raise ValueError(f"{wrong[0]!r} for a bundle of kind {bundle.kind}; expected only {known}")
    # Each brings libraries that the other needs not.
    if bundle.kind == CLASSIFICATION:
        from monai_tasks.evaluation import evaluate_classification as module
    else:
        from monai_tasks.evaluation import evaluate as module
    return module.evaluate(bundle, predictions, references, output, **options)
