"""The probability from which on a binary classification counts as positive, and where that number is from."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from monai_tasks.inference.configs import ConfigError
from monai_tasks.inference.members import Members
from monai_tasks.io.errors import InputError
from monai_tasks.metrics.operating_point import FILE

OPERATING_POINT = "operating_point"
DEFAULT = 0.5
SETTING, CONFIG = "setting", "config"
# What a file says that it is for: the checksum of a file of weights, see `Members.checksum`, or those of all, sorted.
ONE, SEVERAL = "weights_sha256", "members_sha256"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeldPoint:
    """The operating point that holds in a run.

    Args:
        threshold: a probability at or above it is positive.
        origin: `setting`, `operating_point.json`, the mean of several such files, or `config`.
        rule: how it was chosen; empty where nothing says so.
        part: of the data that it was chosen on; empty where nothing says so.
        n: cases that it was chosen on; None where nothing says so.
    """

    threshold: float
    origin: str
    rule: str = ""
    part: str = ""
    n: int | None = None

    def facts(self) -> dict[str, Any]:
        """What is known of it, for a report."""
        return {name: value for name, value in asdict(self).items() if value not in ("", None)}

    def __str__(self) -> str:
        chosen = f"{self.rule} on {self.part}" if self.rule and self.part else self.rule
        cases = f"{self.n} cases" if self.n is not None else ""
        return f"{self.threshold:g} ({', '.join(filter(None, (f'from {self.origin}', chosen, cases)))})"


def held_point(weights: Path | Members, configured: Any, settings: Mapping[str, Any]) -> HeldPoint:
    """The operating point of a run.

    That of the settings comes first, then what the training of the weights chose, then the config. Of a
    cross-validation `operating_point.json` in its folder counts. Of several networks else the mean of their thresholds
    is taken, where each has one.

    Args:
        weights: the file of weights, or those of several networks; `operating_point.json` beside a file may hold the
            point that its training chose. Where that names the checksum of other weights, it does not count.
        configured: the value of the config, None where it has none.
        settings: config ids and values that a person set.

    Raises:
        ConfigError: if the setting or the config is no probability.
        InputError: if the file does not hold one.
    """
    if OPERATING_POINT in settings:
        return HeldPoint(_configured(settings[OPERATING_POINT]), SETTING)
    members = weights if isinstance(weights, Members) else Members((weights,))
    chosen = _of_run(members) or _of_files(members)
    return chosen or HeldPoint(DEFAULT if configured is None else _configured(configured), CONFIG)


def _of_run(members: Members) -> HeldPoint | None:
    """The point that a cross-validation chose for all of its networks."""
    file = None if members.run is None else members.run / FILE
    if file is None or not file.is_file():
        return None
    return _read(file, members)


def _of_files(members: Members) -> HeldPoint | None:
    """The point of the one network, or the mean of the points of several."""
    points = []
    for weights in members.files:
        file = weights.with_name(FILE)
        points.append(_read(file, Members((weights,))) if file.is_file() else None)
    known = [point for point in points if point is not None]
    if len(known) < len(points):
        if known:
            without = len(points) - len(known)
            logger.warning(
                "%d of %d networks have no operating point: none of theirs counts", without, len(points)
            )
        return None
    if len(known) == 1:
        return known[0]
    rules, parts = ({getattr(point, name) for point in known} for name in ("rule", "part"))
    origin = f"the mean of {len(known)} {FILE}"
    threshold = sum(point.threshold for point in known) / len(known)
    return HeldPoint(threshold, origin, *(one.pop() if len(one) == 1 else "" for one in (rules, parts)))


def _configured(value: Any) -> float:
    if not _is_probability(value):
        raise ConfigError(f"{OPERATING_POINT}: {value!r}; expected a number from 0 to 1")
    return float(value)


def _read(file: Path, members: Members) -> HeldPoint | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise InputError(file, f"not readable as JSON ({cause})", "an operating point") from cause
    threshold = content.get("threshold") if isinstance(content, dict) else None
    if not _is_probability(threshold):
        raise InputError(file, f"threshold {threshold!r}", "a number from 0 to 1")
    one, several = content.get(ONE), content.get(SEVERAL)
    if one not in (None, members.checksum) or several not in (None, sorted(members.checksums)):
        logger.warning("%s is for other weights than %s: it does not count", file, ", ".join(members.names))
        return None
    rule, part = (str(content.get(name) or "") for name in ("rule", "part"))
    return HeldPoint(float(threshold), FILE, rule, part, content.get("n"))


def _is_probability(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
