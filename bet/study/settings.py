"""The settings in a study file, by backbone or by stream."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import msgspec

from bet.backbones import BACKBONES, NO_BACKBONE
from bet.errors import BetError
from bet.stream import STREAMS, StreamSettings
from bet.text import quoted
from bet.training import AlsSettings, FitSettings, ReferenceSettings, TrainSettings

Settings = TypeVar("Settings")
OTHERS = "others"  # streams without a table of their own
# The settings of a backbone's fit, if it is not trained by BPR.
FIT_SETTINGS: dict[str, type[FitSettings]] = {
    "ials": AlsSettings,
    NO_BACKBONE: ReferenceSettings,
}


def training_settings(values: Mapping[str, Any]) -> dict[str, FitSettings]:
    """``[training]`` by backbone. Settings at the top are those of BPR; a backbone that is fitted
    otherwise has a table.
    """
    others = {
        backbone: _convert("training", backbone, values.get(backbone, {}), settings_type)
        for backbone, settings_type in FIT_SETTINGS.items()
    }
    bpr = {name: value for name, value in values.items() if name not in FIT_SETTINGS}
    trained = [name for name in BACKBONES if name not in FIT_SETTINGS]
    return by_backbone("training", bpr, TrainSettings, trained) | others


def by_backbone(
    section: str,
    values: Mapping[str, Any],
    settings_type: type[Settings],
    backbones: Sequence[str] = (*BACKBONES, NO_BACKBONE),
) -> dict[str, Settings]:
    """``section`` by backbone: settings at the top are for all, those in a backbone's table for
    that one. Raises BetError, with section and name, on what is not known.
    """
    common = {name: value for name, value in values.items() if name not in backbones}
    return {
        backbone: _convert(section, backbone, common | values.get(backbone, {}), settings_type)
        for backbone in backbones
    }


def _convert(
    section: str, backbone: str, numbers: Mapping[str, Any], settings_type: type[Settings]
) -> Settings:
    known = [field.name for field in fields(settings_type)]  # type: ignore[arg-type]
    for name in numbers:
        if name not in known:
            raise BetError(
                f"{section}: no setting or backbone {quoted(name)}; known are "
                f"{', '.join([*known, *BACKBONES])}"
            )
    try:
        return msgspec.convert(numbers, settings_type)
    except msgspec.ValidationError as error:
        raise BetError(f"{section} of {backbone}: {error}") from error


def known_backbones(section: str, values: Mapping[str, int]) -> Mapping[str, int]:
    """``values`` by backbone; raises BetError on one that is none."""
    for name in values:
        if name not in BACKBONES:
            raise BetError(
                f"{section}: no backbone {quoted(name)}; known are {', '.join(BACKBONES)}"
            )
    return values


def stream_settings(values: Mapping[str, Any]) -> dict[str, StreamSettings]:
    """``[stream]`` by stream: settings at the top are for all, those in a table of a stream's name
    for that one; ``OTHERS`` are files of your own.
    """
    common = {name: value for name, value in values.items() if name not in STREAMS}
    return {
        name: _convert("stream", name, common | values.get(name, {}), StreamSettings)
        for name in (*STREAMS, OTHERS)
    }
