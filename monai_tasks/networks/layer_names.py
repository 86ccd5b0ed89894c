"""Layers of a network by the names that people give them, or by their number from the input on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def chosen(known: Mapping[str, Sequence[str]], layers: Sequence[str] | int | None) -> list[str] | None:
    """The modules of some layers.

    Args:
        known: names of modules by the layer's name, from the input to the output.
        layers: names of layers, or how many from the input on; None stays None.

    Returns:
        Names of modules, from the input to the output.

    Raises:
        ValueError: when a layer is not there, or there are not so many before the last one.
    """
    if layers is None:
        return None
    if isinstance(layers, int):
        if not 0 <= layers < len(known):
            raise ValueError(
                f"the first {layers} layers; expected 0 to {len(known) - 1}, of {', '.join(known)}"
            )
        layers = list(known)[:layers]
    wrong = [layers] if isinstance(layers, str) else [str(name) for name in layers if name not in known]
    if wrong:
        raise ValueError(f"layers {', '.join(wrong)}; expected a list of {', '.join(known)}")
    return [name for layer, names in known.items() if layer in layers for name in names]
