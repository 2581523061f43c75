import statistics
from itertools import pairwise
from math import log

import pytest

from datafye_trio.model import AssetClass
from datafye_trio.sources.listings import CRYPTO_SYMBOLS, QUICKSTART_SYMBOLS, make_listing, mix

SECOND = 10**9
NOW = 1_760_000_000 * SECOND


def test_the_default_symbols():
    assert QUICKSTART_SYMBOLS == ("AAPL", "MSFT", "GOOGL", "AMZN", "NVDA", "TSLA", "META", "NFLX", "AMD", "INTC")
    assert CRYPTO_SYMBOLS[:3] == ("BTCUSD", "ETHUSD", "SOLUSD")


def test_mix_is_splitmix64():
    # The first output of SplitMix64 seeded with 0, as published with the generator (its state starts one step on).
    assert mix(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF


def test_a_listing_depends_on_symbol_seed_and_asset_class_only():
    stocks, crypto = AssetClass.STOCKS, AssetClass.CRYPTO
    assert make_listing("ZZZ", stocks, 1) == make_listing("ZZZ", stocks, 1)
    keys = {
        make_listing(*what).key
        for what in [("ZZZ", stocks, 1), ("ZZZ", stocks, 2), ("ZZY", stocks, 1), ("ZZZ", crypto, 1)]
    }
    assert len(keys) == 4


@pytest.mark.parametrize("asset_class", list(AssetClass))
def test_unknown_symbols_have_plausible_listings(asset_class):
    listings = [make_listing(f"U{n}", asset_class, 7) for n in range(300)]
    low, high = (8.0, 512.0) if asset_class is AssetClass.STOCKS else (0.05, 5_000.0)
    assert all(low <= listing.start <= high for listing in listings)
    assert len({listing.start for listing in listings}) > 100
    assert all(1e-5 < listing.volatility < 4e-4 for listing in listings)
    homes = {listing.home for listing in listings}
    assert homes == ({"XNAS", "XNYS", "ARCX"} if asset_class is AssetClass.STOCKS else {None})


def test_cheap_coins_have_fine_ticks_and_big_pieces():
    bitcoin, doge = (make_listing(symbol, AssetClass.CRYPTO, 0) for symbol in ("BTCUSD", "DOGEUSD"))
    assert (bitcoin.scale, bitcoin.lots) == (100, 10**6)
    assert (doge.scale, doge.lots) == (10_000, 10)


@pytest.mark.parametrize("symbol", [*QUICKSTART_SYMBOLS, "OTHER"])
def test_levels_stay_near_the_start_price_for_centuries(symbol):
    listing = make_listing(symbol, AssetClass.STOCKS, 3)
    levels = [listing.level(n * 30 * 86_400 * SECOND + n) / listing.scale for n in range(2_400)]
    assert all(listing.start / 9 < level < listing.start * 9 for level in levels)
    assert listing.start / 2 < statistics.median(levels) < listing.start * 2


@pytest.mark.unmeasured
def test_levels_move_as_far_as_the_volatility_says():
    listing = make_listing("AAPL", AssetClass.STOCKS, 0)
    for seconds in (16, 1_024, 65_536):
        step = seconds * SECOND
        levels = [log(listing.level(NOW + n * step)) for n in range(2_000)]
        moves = statistics.stdev(later - before for before, later in pairwise(levels))
        # Interpolation between places takes some away, the smaller octaves add some: within a factor of 2.
        assert 0.5 < moves / (listing.volatility * seconds**0.5) < 2.0


def test_levels_are_continuous():
    listing = make_listing("TSLA", AssetClass.STOCKS, 0)
    for place in (NOW, NOW + SECOND, NOW // (4**11 * SECOND) * 4**11 * SECOND):
        assert listing.level(place) == pytest.approx(listing.level(place - 1), rel=1e-9)
