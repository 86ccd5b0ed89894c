"""The answer of a transfer experiment in plain words, which claim no more than the intervals allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monai_tasks.evaluation.intervals import LEVEL
from monai_tasks.experiments.transfer_answers import Measure
from monai_tasks.experiments.transfer_plan import ALL
from monai_tasks.experiments.transfer_statistics import Difference, Statistics

FEW = 10  # test subjects below which a percentile interval is known to be too narrow
NOUN = " training subjects"
VERBS = {1: "better", -1: "worse"}


def answer(
    statistics: Statistics,
    measure: Measure,
    reference: str,
    seeds: int,
    subjects: Mapping[str, int],
    failed: int = 0,
    redraw: bool = False,
) -> str:
    """Say in one paragraph what the differences between the arms are worth.

    A difference is told as one only where its interval excludes zero and every seed has its sign.

    Args:
        statistics: of the runs.
        measure: what they were measured by.
        reference: the arm that the others are compared with.
        seeds: how many the plan has.
        subjects: of training, by the name of the subset.
        failed: how many runs failed.
        redraw: whether each seed had training subjects of its own.
    """
    sentences = [_basis(statistics, measure, seeds)]
    pairs = list(dict.fromkeys((one.arm, one.other) for one in statistics.differences))
    # What is compared with the reference comes first; the others are the controls.
    for arm, other in sorted(pairs, key=lambda pair: pair[1] != reference):
        own = [one for one in statistics.differences if (one.arm, one.other) == (arm, other)]
        sentences.append(_comparison(own, subjects))
    if not pairs:
        sentences.append("There are no two arms with runs to compare, so nothing is said about a difference.")
    else:
        sentences.append(_limits(statistics, seeds, redraw))
    if failed:
        runs = "run failed and is" if failed == 1 else "runs failed and are"
        sentences.append(f"{failed} {runs} not in this; the table has the reason.")
    return " ".join(sentences)


def _basis(statistics: Statistics, measure: Measure, seeds: int) -> str:
    what = f"{measure.heading} on {_count(statistics.cases, measure.cases)}"
    of = f"of {_count(statistics.subjects, 'test subjects')}"
    averaged = f"the mean over {seeds} seeds" if seeds > 1 else "one seed"
    basis = f"Measured by {what} {of}, {averaged}."
    if statistics.left_out:
        basis += f" Left out: {_count(statistics.left_out, measure.cases)} that some run has no answer for."
    return basis


def _comparison(own: Sequence[Difference], subjects: Mapping[str, int]) -> str:
    """One sentence about two arms on all subsets."""
    arm, other = own[0].arm, own[0].other
    told = []
    for sign, verb in VERBS.items():
        found = [f"{_size(one, subjects)} ({_figures(one)})" for one in own if one.sign == sign]
        if found:
            told.append(f"is {verb} than {other} with {_listed(found)}")
    unclear = [one for one in own if one.sign == 0]
    if unclear:
        sizes = _listed(
            [_size(one, subjects).removesuffix(NOUN) for one in unclear[:-1]] + [_size(unclear[-1], subjects)]
        )
        told.append(f"cannot be told from {other} with {sizes}{_reach(unclear)}")
    return f"{arm} {'; it '.join(told)}."


def _size(one: Difference, subjects: Mapping[str, int]) -> str:
    count = _count(subjects[one.subset], NOUN.strip())
    return f"all {count}" if one.subset == ALL else count


def _figures(one: Difference) -> str:
    seeds = "in one seed" if len(one.by_seed) == 1 else f"above zero in each of {len(one.by_seed)} seeds"
    if one.sign < 0:
        seeds = seeds.replace("above", "below")
    return f"{one.value:+.3f}, {100 * LEVEL:.0f} % interval {one.low:+.3f} to {one.high:+.3f}, {seeds}"


def _reach(unclear: Sequence[Difference]) -> str:
    """What may hide where nothing can be told."""
    known = [(one.low, one.high) for one in unclear if one.low is not None and one.high is not None]
    if not known:
        return " (there is no interval)"
    low, high = min(low for low, _ in known), max(high for _, high in known)
    which = "the interval reaches" if len(known) == 1 else "the intervals reach"
    # Their intervals say something, and their seeds say another thing.
    torn = [one for one in unclear if one.low is not None and one.high is not None and one.low * one.high > 0]
    but = (
        ", but not every seed agrees"
        if len(torn) == len(known)
        else ", and where they exclude zero not every seed agrees"
    )
    return f" ({which} from {low:+.3f} to {high:+.3f}{but if torn else ''})"


def _limits(statistics: Statistics, seeds: int, redraw: bool) -> str:
    """What the intervals do not hold."""
    training = "" if redraw else ", nor what other training subjects would change"
    told = [
        "An interval says how far other test subjects would move a difference; it does not say what other seeds "
        f"would change{training}."
    ]
    if any(one.sign == 0 for one in statistics.differences):
        told.append(
            "Where arms cannot be told apart, they need not be equal: this experiment is too small to say."
        )
    if seeds == 1:
        told.append("With one seed a difference may be luck of that training.")
    count = len(statistics.differences)
    if count > 1:
        told.append(
            f"Of {count} comparisons, about {(1 - LEVEL) * count:.1f} would exclude zero by chance if no arm differed."
        )
    if statistics.subjects < FEW:
        told.append(f"Intervals of so few subjects ({statistics.subjects}) are too narrow.")
    return " ".join(told)


def _count(number: int, what: str) -> str:
    singular = {"studies": "study"}.get(what, what.removesuffix("s"))
    return f"{number} {singular if number == 1 else what}"


def _listed(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
