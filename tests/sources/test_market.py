import hashlib
import os
import subprocess
import sys
from itertools import islice, pairwise
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafye_trio.errors import ConfigurationError
from datafye_trio.model import AssetClass, Halt, Quote, Resume, Trade
from datafye_trio.sources import CRYPTO_SYMBOLS, NOTIONAL_RATE, QUICKSTART_SYMBOLS, SyntheticConfig, SyntheticMarket

SECOND = 10**9
START = 1_760_000_000 * SECOND
CRYPTO = AssetClass.CRYPTO

configs = st.builds(
    SyntheticConfig,
    symbols=st.sampled_from([QUICKSTART_SYMBOLS, ("AAPL",), ("X", "Y"), tuple(f"S{n}" for n in range(40))]),
    seed=st.integers(-(2**70), 2**70),
    rate=st.sampled_from([0.001, 0.1, 1 / 3, 7.0, 100.0, 5_000.0, 1e6, inf]),
    halts=st.booleans(),
)
starts = st.integers(0, 4 * 10**18)


def take(market, count):
    return list(islice(market, count))


def is_decimal(number, places):
    """Whether a number is written with at most so many decimals."""
    return number == round(number, places)


@pytest.mark.unmeasured
@settings(max_examples=20)
@given(configs, starts)
def test_a_market_is_sane(config, start):
    """Rising times, a spread above 0, prices above 0 and on ticks, trades inside the quote and none while halted."""
    before, quotes, halted = start - 1, {}, set()
    for time, event in take(SyntheticMarket(config, start), 3_000):
        assert time > before
        before = time
        assert event.symbol in config.symbols
        if isinstance(event, (Halt, Resume)):
            assert event.timestamp == time
            (halted.add if isinstance(event, Halt) else halted.discard)(event.symbol)
            assert event.reason
            continue
        assert event.exchange_timestamp == time
        assert event.listing_exchange in {"XNAS", "XNYS", "ARCX"}
        if isinstance(event, Quote):
            assert 0 < event.bid_price < event.ask_price
            assert is_decimal(event.bid_price, 2)
            assert is_decimal(event.ask_price, 2)
            assert {type(event.bid_size), type(event.ask_size)} == {int}
            assert min(event.bid_size, event.ask_size) >= 100
            assert len(event.bid_exchange_id) == len(event.ask_exchange_id) == 4
            assert event.exchange_id is None
            quotes[event.symbol] = event
        else:
            assert event.symbol not in halted
            assert type(event.size) is int
            assert event.size >= 1
            assert is_decimal(event.price, 2)
            assert len(event.exchange_id) == 4
            assert event.trade_id.isdecimal()
            if event.symbol in quotes:  # a start in the middle of a block may show a trade before the first quote
                quote = quotes[event.symbol]
                assert quote.bid_price <= event.price <= quote.ask_price


@pytest.mark.unmeasured
@settings(max_examples=20)
@given(configs, starts)
def test_the_same_settings_give_the_same_events(config, start):
    once, again = SyntheticMarket(config, start), SyntheticMarket(config, start)
    assert take(once, 500) == take(again, 500) == take(once, 500)


@pytest.mark.unmeasured
@settings(max_examples=20)
@given(configs, starts, st.integers(0, 2_000))
def test_a_later_start_shows_the_same_market(config, start, passed):
    """What the next issue's history rests on: an event depends on its own time, not on when somebody began to look."""
    events = take(SyntheticMarket(config, start), passed + 300)
    assert take(SyntheticMarket(config, events[passed][0]), 300) == events[passed:]


def test_the_same_bytes_in_another_process_with_another_hash_seed():
    script = (
        "import hashlib, itertools\n"
        "from datafye_trio.sources import SyntheticConfig, SyntheticMarket\n"
        f"events = list(itertools.islice(SyntheticMarket(SyntheticConfig(seed=5, halts=True), {START}), 5000))\n"
        "print(hashlib.sha256(repr(events).encode()).hexdigest())\n"
    )
    here = repr(take(SyntheticMarket(SyntheticConfig(seed=5, halts=True), START), 5_000))
    for hash_seed in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert there.stdout.strip() == hashlib.sha256(here.encode()).hexdigest()


def test_another_seed_is_another_market():
    first, second = (take(SyntheticMarket(SyntheticConfig(seed=seed), START), 50) for seed in (0, 1))
    assert [time for time, _ in first] == [time for time, _ in second]
    assert [event for _, event in first] != [event for _, event in second]


@pytest.mark.parametrize(("rate", "count"), [(0.1, 40), (1 / 3, 40), (100.0, 3_000), (5_000.0, 3_000), (inf, 3_000)])
def test_an_event_comes_every_1_over_rate(rate, count):
    times = [time for time, _ in take(SyntheticMarket(SyntheticConfig(rate=rate), START), count)]
    rate = NOTIONAL_RATE if rate == inf else rate
    assert START <= times[0] < START + SECOND / rate
    # Whole nanoseconds, and no drift: the rounding of one does not move the next.
    assert all(abs(time - times[0] - n * SECOND / rate) <= 1.5 for n, time in enumerate(times))


def test_a_start_on_the_grid_is_the_time_of_the_first_event():
    assert take(SyntheticMarket(SyntheticConfig(rate=100.0), START), 1)[0][0] == START


@pytest.mark.unmeasured
def test_stocks_look_like_a_market():
    events = [event for _, event in take(SyntheticMarket(SyntheticConfig(), START), 40_000)]
    trades = [event for event in events if isinstance(event, Trade)]
    quotes = [event for event in events if isinstance(event, Quote)]
    assert {event.symbol for event in trades} == {event.symbol for event in quotes} == set(QUICKSTART_SYMBOLS)
    assert 0.2 < len(trades) / len(events) < 0.3
    assert 0.3 < sum(trade.size < 100 for trade in trades) / len(trades) < 0.6
    assert {trade.exchange_id for trade in trades} >= {"XNAS", "ARCX", "BATS", "EDGX", "XNYS", "IEXG"}
    assert len({trade.trade_id for trade in trades}) == len(trades)
    apple = [quote for quote in quotes if quote.symbol == "AAPL"]
    assert len({quote.bid_price for quote in apple}) > 50
    spreads = [round((quote.ask_price - quote.bid_price) * 100) for quote in apple]
    assert min(spreads) == 1
    assert sum(spreads) / len(spreads) < 4
    moves = [abs(later.bid_price / before.bid_price - 1) for before, later in pairwise(apple)]
    assert max(moves) < 0.005


def test_trades_stand_at_the_bid_at_the_ask_and_between():
    quotes, places = {}, {"bid": 0, "ask": 0, "between": 0}
    for _, event in take(SyntheticMarket(SyntheticConfig(symbols=("NFLX",)), START), 10_000):
        if isinstance(event, Quote):
            quotes = event
        elif quotes:
            at_side = {quotes.bid_price: "bid", quotes.ask_price: "ask"}
            places[at_side.get(event.price, "between")] += 1
    assert min(places.values()) > 200
    assert places["bid"] + places["ask"] > places["between"]


@pytest.mark.unmeasured
def test_crypto_is_trades_only_in_fractions_by_venue_name():
    events = [event for _, event in take(SyntheticMarket(SyntheticConfig(CRYPTO), START), 20_000)]
    assert all(isinstance(event, Trade) for event in events)
    assert {event.symbol for event in events} == set(CRYPTO_SYMBOLS)
    assert {event.exchange_id for event in events} == {"Coinbase", "Binance", "Kraken", "Bitstamp", "Gemini", "OKX"}
    assert all(event.listing_exchange is None and event.price > 0 for event in events)
    sizes = [event.size for event in events if event.symbol == "BTCUSD"]
    assert min(sizes) > 0
    assert sum(not size.is_integer() for size in sizes) > 0.99 * len(sizes)
    assert all(is_decimal(size, 6) for size in sizes)


def test_volatility_goes_by_symbol():
    config = SyntheticConfig(symbols=("MSFT", "TSLA"), rate=1.0)
    prices = {"MSFT": [], "TSLA": []}
    for _, event in take(SyntheticMarket(config, START), 20_000):
        if isinstance(event, Quote):
            prices[event.symbol].append(event.bid_price)
    calm, wild = (sum(abs(later / before - 1) for before, later in pairwise(p)) / len(p) for p in prices.values())
    assert wild > 1.5 * calm


@pytest.mark.unmeasured
def test_a_halt_is_followed_by_its_resume_about_once_a_minute():
    changes = [
        event for _, event in take(SyntheticMarket(SyntheticConfig(halts=True), START), 60_000)
        if isinstance(event, (Halt, Resume))
    ]  # fmt: skip
    assert 18 <= len(changes) <= 22  # ten minutes
    if isinstance(changes[0], Resume):
        changes = changes[1:]
    for halt, resume in zip(changes[::2], changes[1::2], strict=False):
        assert isinstance(halt, Halt)
        assert isinstance(resume, Resume)
        assert halt.symbol == resume.symbol
        assert resume.timestamp - halt.timestamp == 7.5 * SECOND


@pytest.mark.unmeasured
def test_a_pause_holds_beyond_the_block_it_began_in():
    """A pause is 750 events long, a block 2,560: some lie across two."""
    halted, began, crossed = None, 0, 0
    for time, event in take(SyntheticMarket(SyntheticConfig(halts=True), START), 100_000):
        block = time * 100 // SECOND // 2_560
        if isinstance(event, Halt):
            halted, began = event.symbol, block
        elif isinstance(event, Resume):
            crossed += halted is not None and block > began
            halted = None
        assert not (isinstance(event, Trade) and event.symbol == halted)
    assert crossed >= 2


@pytest.mark.unmeasured
def test_prices_never_reach_zero_even_where_a_block_lasts_two_years():
    config = SyntheticConfig(symbols=tuple(f"S{n}" for n in range(1_000)), rate=0.001, seed=48)
    bids = [event.bid_price for _, event in take(SyntheticMarket(config, START), 65_536) if isinstance(event, Quote)]
    assert min(bids) == 0.01  # the seed was chosen so that the floor is reached


def test_no_halts_by_default():
    events = take(SyntheticMarket(SyntheticConfig(), START), 20_000)
    assert not any(isinstance(event, (Halt, Resume)) for _, event in events)


def test_a_start_within_a_pause_shows_no_trade_before_the_resume():
    config = SyntheticConfig(halts=True)
    halt = next(event for _, event in SyntheticMarket(config, START) if isinstance(event, Halt))
    for offset in (1, SECOND, 7 * SECOND):
        seen = []
        for _, event in SyntheticMarket(config, halt.timestamp + offset):
            if isinstance(event, Resume):
                break
            seen.append(event)
        assert event.symbol == halt.symbol
        assert not any(isinstance(event, Trade) and event.symbol == halt.symbol for event in seen)


def test_defaults_by_asset_class():
    assert SyntheticConfig().symbols == QUICKSTART_SYMBOLS
    assert SyntheticConfig().dataset == "Synthetic"
    assert SyntheticConfig(CRYPTO).symbols == CRYPTO_SYMBOLS
    assert SyntheticConfig(CRYPTO).dataset == "Crypto"


def test_symbols_are_normalised_and_counted_once():
    assert SyntheticConfig(symbols=("aapl", "AAPL", "brk.b")).symbols == ("AAPL", "BRK.B")
    assert SyntheticConfig(CRYPTO, ("x:btc-usd", "ETH/USD")).symbols == ("BTCUSD", "ETHUSD")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"symbols": ()}, "1 to 10000 symbols, not 0"),
        ({"symbols": tuple(f"S{n}" for n in range(10_001))}, "not 10001"),
        ({"symbols": ("A B",)}, "'A B' is no symbol"),
        ({"rate": 0.0}, "not 0.0"),
        ({"rate": -inf}, "not -inf"),
        ({"rate": 2e6}, "0.001 to 1000000 events a second"),
        ({"rate": float("nan")}, "not nan"),
        ({"halts": True, "asset_class": CRYPTO}, "halts are for stocks"),
        ({"start_ns": -1}, "1970 or later"),
    ],
)
def test_a_bad_setting_is_named(settings, text):
    with pytest.raises(ConfigurationError, match=text):
        SyntheticConfig(**settings)
