"""What a dataset offers, as settings: `ticks`, `aggregates`, and how bars and indicators are made of trades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from datafye_trio.aggregates import Aggregation, EmaPeriods, SmaPeriods, consolidated, every_trade
from datafye_trio.cli.fields import did_you_mean
from datafye_trio.cli.schemas import SCHEMAS, schema_of
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import Channel, Frequency

__all__ = ["OFFERING", "offering_from", "offering_of"]

OFFERING: Final = ("ticks", "aggregates", "bars", "lateness", "sma", "ema")
"""The keys."""

_TICKS: Final = (Channel.QUOTES, Channel.TRADES)
_DERIVED: Final = (Channel.AGGREGATES, Channel.SMA, Channel.EMA)
_RULES: Final = {"all": every_trade, "consolidated": consolidated}


def offering_from(values: Mapping[str, Any], base: Aggregation) -> dict[str, Any]:
    """The fields `channels` and `aggregation` of a source's settings, as far as these keys say something new.

    Args:
        values: the keys of `OFFERING` that were given, in their types.
        base: how bars and indicators are made where no key says otherwise.

    Raises:
        ConfigurationError: a value cannot be; the text names its key.
    """
    fields: dict[str, Any] = {}
    aggregation = _aggregation(values, base)
    if aggregation != base:
        fields["aggregation"] = aggregation if aggregation.all_frequencies() else None
    # Bars and indicators are among the channels for the sake of those that were recorded, not made of trades.
    derived = tuple(
        channel for channel in _DERIVED if "aggregates" not in values or aggregation.frequencies_of(channel)
    )
    ticks = _ticks(values["ticks"]) if "ticks" in values else _TICKS
    if "ticks" in values or derived != _DERIVED:
        fields["channels"] = ticks + derived
    return fields


def _ticks(names: Sequence[str]) -> tuple[Channel, ...]:
    for name in names:
        if name not in _TICKS:
            raise ConfigurationError(f"ticks are quotes or trades, not {name[:40]!r}")
    return tuple(channel for channel in _TICKS if channel in names)


def _aggregation(values: Mapping[str, Any], base: Aggregation) -> Aggregation:
    changes: dict[str, Any] = {}
    if "aggregates" in values:
        changes |= _frequencies(values["aggregates"])
    if "bars" in values:
        changes["rule"] = _RULES[values["bars"]]
    if "lateness" in values:
        changes["lateness"] = values["lateness"]
    for name, kind, meant in (("sma", SmaPeriods, "fast, slow"), ("ema", EmaPeriods, "fast, slow, signal")):
        if name in values:
            periods = values[name]
            if len(periods) != len(attrs.fields(kind)):
                raise ConfigurationError(f"{name} has {len(attrs.fields(kind))} periods ({meant}), not {len(periods)}")
            try:
                changes[name] = kind(*periods)
            except ConfigurationError as error:
                raise ConfigurationError(f"{error} ({name})") from None
    return attrs.evolve(base, **changes)


def _frequencies(schemas: Sequence[str]) -> dict[str, tuple[Frequency, ...] | None]:
    found: dict[Channel, list[Frequency]] = {channel: [] for channel in _DERIVED}
    for schema in schemas:
        if schema not in SCHEMAS:
            hint = did_you_mean(schema, SCHEMAS) or f": there are {', '.join(SCHEMAS)}"
            raise ConfigurationError(f"there is no {schema[:40]!r} among aggregates{hint}")
        channel, frequency = SCHEMAS[schema]
        found[channel].append(frequency)
    ordered = {channel: tuple(one for one in Frequency if one in held) for channel, held in found.items()}
    bars, sma, ema = (ordered[channel] for channel in _DERIVED)
    # None is "as the bars": so that what says the same is the same.
    return {
        "frequencies": bars,
        "sma_frequencies": None if sma == bars else sma,
        "ema_frequencies": None if ema == bars else ema,
    }


def offering_of(channels: Sequence[Channel] | None, aggregation: Aggregation | None) -> dict[str, object]:
    """The keys of `OFFERING` that make these fields; None where a key has no value, or cannot have this one."""
    ticks = None if channels is None else tuple(channel.value for channel in _TICKS if channel in channels)
    if aggregation is None:
        return {"ticks": ticks, "aggregates": (), "bars": None, "lateness": None, "sma": None, "ema": None}
    return {
        "ticks": ticks,
        "aggregates": tuple(
            schema_of(channel, frequency) for channel in _DERIVED for frequency in aggregation.frequencies_of(channel)
        ),
        "bars": next((name for name, rule in _RULES.items() if rule is aggregation.rule), None),
        "lateness": aggregation.lateness,
        "sma": None if aggregation.sma is None else attrs.astuple(aggregation.sma),
        "ema": None if aggregation.ema is None else attrs.astuple(aggregation.ema),
    }
