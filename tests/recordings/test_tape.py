import json

import pytest

from datafye_trio.recordings.tape import venue_mic


@pytest.mark.parametrize(("letter", "mic"), [("N", "XNYS"), ("T", "XNAS"), ("Q", "XNAS"), ("P", "ARCX"), ("D", "FINR")])
def test_a_participant_letter_becomes_a_mic(letter, mic):
    assert venue_mic(letter) == mic


@pytest.mark.parametrize("text", ["XNAS", "Coinbase", "n", "E", "", "7"])
def test_any_other_text_stays(text):
    assert venue_mic(text) == text


def test_the_table_agrees_with_a_vendor_table(sample):
    venues = json.loads((sample("reference_polygon_fixtures") / "exchanges.json").read_text())["results"]
    checked = 0
    for venue in venues:
        if "mic" in venue and venue["participant_id"] != "D":  # the letter D stands for several facilities
            assert venue_mic(venue["participant_id"]) == venue["mic"]
            checked += 1
    assert checked == 18
    assert venue_mic("D") in {venue["operating_mic"] for venue in venues if venue["participant_id"] == "D"}
