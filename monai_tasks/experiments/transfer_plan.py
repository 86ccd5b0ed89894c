"""The plan of a transfer experiment: a YAML file, read and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from monai_tasks.catalog import Bundle, BundleError, open_bundle
from monai_tasks.io.errors import InputError

SOURCE, IMAGENET = "source", "imagenet"
ALL = "all"
LEVELS = ("image", "study")
# Names become folders: letters, digits and a few signs, beginning with a letter or digit.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .,_+=-]{0,59}")


@dataclass(frozen=True)
class Arm:
    """One way to begin the training.

    Args:
        name: of the arm, and of its folder.
        start: file of weights to start from; None starts from random weights.
        imagenet: whether `start` is a torchvision checkpoint, which the bundle's id `imagenet_weights` takes.
        layers: which layers to start, as the bundle's id `start_layers` takes them; None starts all that fit.
        frozen: which layers stay as they are, as the bundle's id `frozen` takes them: names, or how many.
        random: whether layers are frozen at random values on purpose.
        settings: config ids and their values, of this arm only.
    """

    name: str
    start: Path | None = None
    imagenet: bool = False
    layers: tuple[str, ...] | int | None = None
    frozen: tuple[str, ...] | int = ()
    random: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def config(self) -> dict[str, Any]:
        """The config ids that make the arm; ids that it leaves as they are, a bundle need not have."""
        ids: dict[str, Any] = dict(self.settings)
        if self.start is not None:
            ids["imagenet_weights" if self.imagenet else "start_weights"] = str(self.start)
        if self.layers is not None:
            ids["start_layers"] = self.layers if isinstance(self.layers, int) else list(self.layers)
        if self.frozen:
            ids["frozen"] = self.frozen if isinstance(self.frozen, int) else list(self.frozen)
        return ids


@dataclass(frozen=True)
class Plan:
    """What a transfer experiment does.

    Args:
        bundle: the target.
        datalist: the target's images in three parts.
        arms: in order.
        subsets: numbers of training subjects, rising; None stands for all and comes last.
        seeds: of the trainings.
        reference: name of the arm that the others are compared with.
        epochs: the most that a training runs; None leaves it to the config.
        metric: of the test part; None takes Dice for segmentations and the area under the curve for classifications.
        level: for classifications `image` or `study`; None takes what the network answers for.
        stratify: keys of the datalist's items whose values are spread evenly over the subsets.
        subset_seed: of the draw of the subsets.
        redraw: whether each seed has subsets of its own.
        configs: configs that are merged onto the bundle's, by name or path.
        settings: config ids and their values, for all arms.
    """

    bundle: Bundle
    datalist: Path
    arms: tuple[Arm, ...]
    subsets: tuple[int | None, ...]
    seeds: tuple[int, ...]
    reference: str
    epochs: int | None = None
    metric: str | None = None
    level: str | None = None
    stratify: tuple[str, ...] = ()
    subset_seed: int = 0
    redraw: bool = False
    configs: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def controls(self) -> list[tuple[str, str]]:
        """Arms with a start and frozen layers, each with the arm that has the same layers frozen at random values."""
        random = [arm for arm in self.arms if arm.random]
        return [
            (arm.name, control.name)
            for arm in self.arms
            for control in random
            if arm.start is not None and arm.frozen == control.frozen
        ]


PLAN_KEYS = (*(one.name for one in fields(Plan)), SOURCE, "imagenet_weights")
ARM_KEYS = tuple(one.name for one in fields(Arm) if one.name != IMAGENET)


def read_plan(path: str | Path) -> Plan:
    """Read a plan.

    Paths in it are relative to its folder.

    Args:
        path: the YAML file.

    Raises:
        InputError: when it is missing or no plan; the text says what was found where.
        BundleError: when the bundle is not there.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file", "a plan in YAML")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as cause:
        raise InputError(path, f"not readable as YAML ({_in_a_line(cause)})", "a plan in YAML") from cause
    return _Reader(path, content).plan()


class _Reader:
    """Takes the values of a plan's file, and says which is wrong.

    Args:
        path: the file.
        content: of it.
    """

    def __init__(self, path: Path, content: Any) -> None:
        self.path, self.content = path, content

    def plan(self) -> Plan:
        if not isinstance(self.content, dict):
            raise InputError(self.path, "no mapping of names to values", f"some of {', '.join(PLAN_KEYS)}")
        self._check_keys(
            self.content, PLAN_KEYS, ("bundle", "datalist", "arms", "subsets", "seeds"), "the plan"
        )
        bundle = self._bundle()
        arms = self._arms()
        names = [arm.name for arm in arms]
        scratch = [arm.name for arm in arms if arm.start is None and not arm.frozen]
        reference = self.content.get("reference", (scratch or names)[0])
        if reference not in names:
            self._wrong("reference", reference, f"one of the arms {', '.join(names)}")
        level = self.content.get("level")
        if level not in (None, *LEVELS):
            self._wrong("level", level, " or ".join(LEVELS))
        stratify = self.content.get("stratify", ())
        datalist = self._file("datalist", self._text("datalist", self.content["datalist"]))
        return Plan(
            bundle=bundle,
            datalist=datalist,
            arms=arms,
            subsets=self._subsets(),
            seeds=self._seeds(),
            reference=reference,
            epochs=self._number("epochs", self.content.get("epochs"), 1),
            metric=self._text("metric", self.content.get("metric")),
            level=level,
            stratify=(stratify,) if isinstance(stratify, str) else self._texts("stratify", stratify),
            subset_seed=self._number("subset_seed", self.content.get("subset_seed", 0), 0),
            redraw=self._truth("redraw", self.content.get("redraw", False)),
            configs=tuple(map(self._config, self._texts("configs", self.content.get("configs", ())))),
            settings=self._mapping("settings", self.content.get("settings")),
        )

    def _bundle(self) -> Bundle:
        name = self._text("bundle", self.content["bundle"])
        beside = self.path.parent / name
        return open_bundle(beside if (beside / "configs").is_dir() else name)

    def _arms(self) -> tuple[Arm, ...]:
        content = self.content["arms"]
        if not isinstance(content, list) or not content:
            self._wrong("arms", content, "a list of at least one arm, such as {name: scratch}")
        arms = tuple(self._arm(number, own) for number, own in enumerate(content, start=1))
        names = [arm.name.casefold() for arm in arms]
        twice = [arm.name for arm in arms if names.count(arm.name.casefold()) > 1]
        if twice:
            self._wrong("arms", f"the name {twice[0]!r} twice", "names that differ in more than case")
        return arms

    def _arm(self, number: int, own: Any) -> Arm:
        where = f"arm {number}"
        if not isinstance(own, dict):
            self._wrong(where, own, f"a mapping with some of {', '.join(ARM_KEYS)}")
        self._check_keys(own, ARM_KEYS, ("name",), where)
        name = own["name"]
        if not isinstance(name, str) or not NAME.fullmatch(name) or name != name.strip(" ."):
            self._wrong(f"{where}, name", name, "letters, digits, spaces and .,_+=-, 60 at most")
        where = f"arm {name!r}"
        start = self._text(f"{where}, start", own.get("start"))
        layers, frozen = own.get("layers"), own.get("frozen", ())
        random = self._truth(f"{where}, random", own.get("random", False))
        arm = Arm(
            name,
            None if start is None else self._start(where, start),
            start == IMAGENET,
            None if layers is None else self._layers(f"{where}, layers", layers),
            self._layers(f"{where}, frozen", frozen),
            random,
            self._mapping(f"{where}, settings", own.get("settings")),
        )
        if arm.layers is not None and (arm.start is None or arm.imagenet):
            self._wrong(f"{where}, layers", layers, f"them only beside a start that is not {IMAGENET}")
        if random and (arm.start is not None or not arm.frozen):
            self._wrong(f"{where}, random", random, "layers that are frozen, and no start")
        if arm.frozen and arm.start is None and not random:
            self._wrong(where, "frozen layers without a start", "a start, or `random: true` if that is meant")
        return arm

    def _start(self, where: str, start: str) -> Path:
        """The file of weights that a start stands for."""
        if start in (SOURCE, IMAGENET):
            key = SOURCE if start == SOURCE else "imagenet_weights"
            given = self._text(key, self.content.get(key))
            if given is None:
                self._wrong(f"{where}, start", start, f"the plan's {key!r}, which says what that is")
            return self._weights(key, given) if start == SOURCE else self._file(key, given)
        return self._weights(f"{where}, start", start)

    def _weights(self, key: str, given: str) -> Path:
        """A file of weights, or that of a bundle which ships some."""
        if (self.path.parent / given).exists() or "/" in given or given.endswith((".pt", ".pth")):
            return self._file(key, given)
        try:
            bundle = open_bundle(given)
        except BundleError as cause:
            raise InputError(
                self.path, f"{key}: {given!r}, neither a file nor a bundle", "a file of weights"
            ) from cause
        if not bundle.weights.is_file():
            self._wrong(key, f"{given}, which ships no weights", "a file of weights")
        return bundle.weights

    def _file(self, key: str, given: str) -> Path:
        file = (self.path.parent / given).resolve()
        if not file.is_file():
            self._wrong(key, f"{given}, which is not there", "a file, relative to the plan's folder")
        return file

    def _config(self, name: str) -> str:
        beside = self.path.parent / name
        return str(beside.resolve()) if beside.is_file() else name

    def _layers(self, key: str, value: Any) -> tuple[str, ...] | int:
        """Names of layers, or how many; 0 is none."""
        if isinstance(value, int):
            number = self._number(key, value, 0)
            return () if number == 0 else number
        return self._texts(key, value)

    def _subsets(self) -> tuple[int | None, ...]:
        content = self.content["subsets"]
        if not isinstance(content, list) or not content:
            self._wrong("subsets", content, f"a list of numbers of subjects; {ALL!r} may be the last")
        sizes = [None if own == ALL else self._number("subsets", own, 1) for own in content]
        known = [size for size in sizes if size is not None]
        if None in sizes[:-1] or known != sorted(set(known)):
            self._wrong("subsets", content, f"rising numbers of subjects; {ALL!r} may be the last")
        return tuple(sizes)

    def _seeds(self) -> tuple[int, ...]:
        content = self.content["seeds"]
        if not isinstance(content, list) or not content:
            self._wrong("seeds", content, "a list of whole numbers, such as [0, 1, 2]")
        seeds = tuple(self._number("seeds", seed, 0) for seed in content)
        if len(set(seeds)) < len(seeds):
            self._wrong("seeds", content, "different ones")
        return seeds

    def _number(self, key: str, value: Any, least: int) -> int | None:
        if value is None and key == "epochs":
            return None
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            self._wrong(key, value, f"a whole number from {least} up")
        return value

    def _text(self, key: str, value: Any) -> str | None:
        if value is not None and not (isinstance(value, str) and value):
            self._wrong(key, value, "a text")
        return value

    def _texts(self, key: str, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) and one for one in value):
            self._wrong(key, value, "a list of texts")
        return tuple(value)

    def _truth(self, key: str, value: Any) -> bool:
        if not isinstance(value, bool):
            self._wrong(key, value, "true or false")
        return value

    def _mapping(self, key: str, value: Any) -> dict[str, Any]:
        if value is not None and not (isinstance(value, dict) and all(isinstance(one, str) for one in value)):
            self._wrong(key, value, "config ids and their values")
        own = dict(value or {})
        ruled = [name for name in own if name in ("seed", "datalist", "max_epochs", "resume")]
        if ruled:
            self._wrong(key, ruled[0], "ids that the plan does not rule itself")
        return own

    def _check_keys(
        self, content: Mapping[Any, Any], known: Sequence[str], needed: Sequence[str], where: str
    ) -> None:
        unknown = [key for key in content if key not in known]
        if unknown:
            self._wrong(where, f"{unknown[0]!r}", f"only {', '.join(known)}")
        missing = [key for key in needed if content.get(key) is None]
        if missing:
            self._wrong(where, f"no {missing[0]!r}", f"{', '.join(needed)}")

    def _wrong(self, key: str, found: Any, expected: str) -> None:
        raise InputError(self.path, f"{key}: {found}", expected)


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())
