"""The one-letter participant ids of the US tapes, as MICs."""

from __future__ import annotations

from typing import Final

__all__ = ["venue_mic"]

# Letters: the participant ids of the two consolidated tapes, as in the CTA's "CTS/CQS Multicast Output" and the UTP's
# "UTDF/UQDF" specifications (and NYSE's Daily TAQ, where Nasdaq is Q on tape C and T on the others). MICs: ISO 10383.
# D is FINRA, whose facilities (FINN, FINC, FINY, XADF) the letter alone does not tell apart: the operating MIC is all
# that is known. E and S are the tapes themselves, not venues, and have no MIC: they stay letters, as do unknown ones.
_MICS: Final = {
    "A": "XASE",
    "B": "XBOS",
    "C": "XCIS",
    "D": "FINR",
    "H": "EPRL",
    "I": "XISE",
    "J": "EDGA",
    "K": "EDGX",
    "L": "LTSE",
    "M": "XCHI",
    "N": "XNYS",
    "P": "ARCX",
    "Q": "XNAS",
    "T": "XNAS",
    "U": "MEMX",
    "V": "IEXG",
    "W": "CBSX",
    "X": "XPHL",
    "Y": "BATY",
    "Z": "BATS",
}


def venue_mic(text: str) -> str:
    """The MIC of a tape's participant letter; any other text (a MIC, a name, an unknown letter) as it is."""
    return _MICS.get(text, text)
