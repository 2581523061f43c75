import gzip

import pytest

from datafye_trio.errors import SourceError
from datafye_trio.model import AssetClass, Channel, Quote, Trade
from datafye_trio.recordings.csv_ticks import TickFile, find_tick_files, read_ticks

STOCKS, CRYPTO = AssetClass.STOCKS, AssetClass.CRYPTO
TRADES = "symbol,ts_ns,price,size,trade_id,exchange,conditions\n"
QUOTES = "symbol,ts_ns,bid_price,bid_size,ask_price,ask_size,exchange\n"


def read(path, asset_class=STOCKS, key="ts_ns"):
    (file,) = find_tick_files([path])
    return list(read_ticks(file, asset_class, key))


def events(path, asset_class=STOCKS, key="ts_ns"):
    return [event for _, event in read(path, asset_class, key)]


def test_a_trade_of_a_stock(write):
    path = write("t.csv", TRADES + "aapl,5,1.25,100,77,P,FTI\n")
    trade = Trade("AAPL", 5, 1.25, 100, "ARCX", "77", conditions=("F", "T", "I"))
    assert read(path) == [(5, trade)]
    assert type(trade.size) is int


def test_a_trade_of_a_coin(write):
    path = write("t.csv", TRADES + "x:btc/usd,5,1.25,100,77,N,\n")
    (trade,) = events(path, CRYPTO)
    assert trade == Trade("BTCUSD", 5, 1.25, 100.0, "N", "77")
    assert type(trade.size) is float


def test_a_quote_of_a_stock_names_one_venue_twice(write):
    path = write("q.csv", QUOTES + "AAPL,5,1.25,3,1.26,4,Z\n")
    assert events(path) == [Quote("AAPL", 5, 1.25, 3, 1.26, 4, "BATS", "BATS")]


def test_a_quote_of_a_coin_names_one_venue(write):
    path = write("q.csv", QUOTES + "BTCUSD,5,1.25,0.5,1.26,4,BINANCE\n")
    assert events(path, CRYPTO) == [Quote("BTCUSD", 5, 1.25, 0.5, 1.26, 4.0, exchange_id="BINANCE")]


@pytest.mark.parametrize("asset_class", list(AssetClass))
def test_what_a_file_lacks_is_left_out(write, asset_class):
    trades = write("t.csv", "price,symbol,size,recv_ns,side\n1.5,A,2,9,buy\n")
    assert events(trades, asset_class, "recv_ns") == [Trade("A", 9, 1.5, 2)]
    quotes = write("q.csv", "ask_size,ask_price,bid_size,bid_price,ts_ns,symbol\n4,1.6,3,1.5,9,A\n")
    assert events(quotes, asset_class) == [Quote("A", 9, 1.5, 3, 1.6, 4)]


@pytest.mark.parametrize("asset_class", list(AssetClass))
def test_empty_cells(write, asset_class):
    trades = write("t.csv", TRADES + "A,5,1,2,,,\nA,5,1,2,,, \n")
    assert events(trades, asset_class) == [Trade("A", 5, 1.0, 2)] * 2
    quotes = write("q.csv", QUOTES + "A,5,,0,1.5,4,\nA,6,1.4,3,,,\nA,7,,,,,\n")
    expected = [Quote("A", 5, None, 0, 1.5, 4), Quote("A", 6, 1.4, 3, None, 0), Quote("A", 7, None, 0, None, 0)]
    assert events(quotes, asset_class) == expected


def test_a_zero_price_stays_zero(write):
    assert events(write("q.csv", QUOTES + "A,5,0,0,1.5,4,N\n"))[0].bid_price == 0.0


def test_the_trade_id_is_else_the_last_of_a_range(write):
    header = "symbol,ts_ns,price,size,first_trade_id,last_trade_id\n"
    assert events(write("t.csv", header + "A,5,1,2,10,12\n"))[0].trade_id == "12"
    assert events(write("u.csv", header.replace("\n", ",trade_id\n") + "A,5,1,2,10,12,x1\n"))[0].trade_id == "x1"


def test_the_exchange_time_is_ts_ns_else_recv_ns(write):
    path = write("t.csv", "symbol,recv_ns,ts_ns,price,size\nA,7,5,1,1\nA,8,,1,1\n")
    assert [(key, event.exchange_timestamp) for key, event in read(path, key="recv_ns")] == [(7, 5), (8, 8)]


def test_rows_keep_their_order_where_times_go_back(write):
    path = write("t.csv", "symbol,ts_ns,price,size\nA,5,1,1\nA,9,1,2\nA,3,1,3\nA,10,1,4\n")
    assert [(key, event.exchange_timestamp) for key, event in read(path)] == [(5, 5), (9, 9), (9, 3), (10, 10)]


@pytest.mark.parametrize(
    ("text", "number", "kind"),
    [("100", 100, int), ("100.0", 100, int), ("1e2", 100, int), ("0.5", 0.5, float), ("0", 0, int)],
)
def test_sizes_of_stocks_are_integers_where_whole(write, text, number, kind):
    (trade,) = events(write("t.csv", f"symbol,ts_ns,price,size\nA,5,1,{text}\n"))
    assert trade.size == number
    assert type(trade.size) is kind


def test_a_size_beyond_the_integers_of_the_wire_is_a_float(write):
    rows = "A,5,1,999999999999999\nA,5,1,99999999999999999999\n"
    sizes = [event.size for event in events(write("t.csv", "symbol,ts_ns,price,size\n" + rows))]
    assert sizes == [999_999_999_999_999, 1e20]
    assert [type(size) for size in sizes] == [int, float]


@pytest.mark.parametrize(("name", "pack"), [("t.csv", bytes), ("t.csv.gz", gzip.compress)])
def test_blank_lines_a_byte_order_mark_and_windows_newlines(tmp_path, name, pack):
    path = tmp_path / name
    path.write_bytes(pack(b"\xef\xbb\xbfSymbol, TS_NS ,price,size\r\nA,5,1,1\r\n\r\nA,6,1,1\r\n\r\n"))
    assert [event.exchange_timestamp for event in events(path)] == [5, 6]


def test_a_gzip_file(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress((TRADES + "A,5,1,2,,,\n").encode()))
    assert events(path) == [Trade("A", 5, 1.0, 2)]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("A,5,nan,1", "'nan' is no price"),
        ("A,5,inf,1", "'inf' is no price"),
        ("A,5,,1", "'' is no price"),
        ("A,5,1_0,1", "'1_0' is no price"),
        ("A,5,1,x", "'x' is no size"),
        ("A,5,1,", "'' is no size"),
        ("A,5,1,-1", "'-1' is no size"),
        ("A,5,1,1_0", "'1_0' is no size"),
        ("A,5,1,nan", "'nan' is no size"),
        ("A,5,1,inf", "'inf' is no size"),
        ("A,-5,1,1", "'-5' is no time"),
        ("A,1e9,1,1", "'1e9' is no time"),
        ("A,,1,1", "'' is no time"),
        ("A,9223372036854775808,1,1", "'9223372036854775808' is no time"),
        ("A," + "9" * 6_000 + ",1,1", f"'{'9' * 40}' is no time"),
        ("A B,5,1,1", "'A B' is no symbol"),
        (",5,1,1", "'' is no symbol"),
        ("A,5,1", "3 columns where the header has 4"),
        ("A,5,1,1,", "5 columns where the header has 4"),
        ('A,5,1,"1"x', "',' expected after '\"'"),
    ],
)
def test_a_malformed_row_is_named_with_its_line(write, row, text):
    path = write("t.csv", f"symbol,ts_ns,price,size\nA,1,1,1\n{row}\nA,9,1,1\n")
    (file,) = find_tick_files([path])
    rows = read_ticks(file, STOCKS, "ts_ns")
    assert next(rows) == (1, Trade("A", 1, 1.0, 1))
    with pytest.raises(SourceError) as caught:
        next(rows)
    assert str(caught.value) == f"{path}, line 3: {text}" or str(caught.value).startswith(f"{path}, line 3: {text}:")


@pytest.mark.parametrize("cells", ["nan,1,2,1", "1,nan,2,1", "1,1,-inf,1", "1,1,2,-1", "1,,2,1", "1,1,2,"])
@pytest.mark.parametrize("asset_class", list(AssetClass))
def test_a_malformed_quote_is_named_with_its_line(write, cells, asset_class):
    path = write("q.csv", f"{QUOTES}A,5,{cells},N\n")
    with pytest.raises(SourceError, match=r"q\.csv, line 2: "):
        read(path, asset_class)


def test_reading_is_lazy(tmp_path):
    """A file that is left after ten rows never shows that it is broken further on."""
    path = tmp_path / "t.csv.gz"
    rows = b"A,5,1,1\n" * 100_000
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"symbol,ts_ns,price,size\n" + rows + b"broken\n")
    (found,) = find_tick_files([path])
    reader = read_ticks(found, STOCKS, "ts_ns")
    assert [next(reader)[0] for _ in range(10)] == [5] * 10
    reader.close()


def test_a_folder_stands_for_its_tick_files_by_name(tmp_path):
    for name, text in {
        "b_trades.csv": TRADES,
        "a_quotes.CSV": QUOTES,
        "bars_1m.csv": "symbol,start_ns,open,high,low,close,volume,price,size\n",
        "empty.csv": "",
        "notes.txt": TRADES,
        "other.csv": "a,b\n",
    }.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "more.csv").mkdir()
    files = find_tick_files([tmp_path])
    assert [(file.path.name, file.channel) for file in files] == [
        ("a_quotes.CSV", Channel.QUOTES),
        ("b_trades.csv", Channel.TRADES),
    ]
    assert files[1] == TickFile(tmp_path / "b_trades.csv", Channel.TRADES, tuple(TRADES.strip().split(",")))


def test_named_files_keep_their_order(write):
    second, first = write("b.csv", TRADES), write("a.csv", TRADES)
    assert [file.path for file in find_tick_files([second, first])] == [second, first]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("t.txt", TRADES, "is no tick file: its name ends neither"),
        ("t.csv", "", "is no tick file: its first line has neither"),
        ("t.csv", "symbol,ts_ns,price\n", "is no tick file: its first line has neither"),
        ("t.csv", "symbol,start_ns,open,price,size\n", "is no tick file"),
        ("t.csv", "symbol,ts_ns,price,size,price\n", "line 1: a column occurs twice"),
        ("t.csv", "ts_ns,price,size\n", "line 1: there is no column symbol"),
        ("t.csv", "symbol,price,size\n", "line 1: there is no column of times"),
        ("t.csv.gz", TRADES, "cannot read .*Not a gzipped file"),
    ],
)
def test_a_file_that_is_no_tick_file_is_named(write, name, content, text):
    path = write(name, content)
    with pytest.raises(SourceError, match=text) as caught:
        find_tick_files([path])
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"there is no file .*nowhere\.csv"):
        find_tick_files([tmp_path / "nowhere.csv"])


def test_a_folder_without_tick_files_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"no tick file in the folder .*: its 0 "):
        find_tick_files([tmp_path])


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "iterdir", refuse)
    with pytest.raises(SourceError, match=r"cannot read the folder .*: Permission denied"):
        find_tick_files([tmp_path])


def test_a_gzip_file_that_was_cut_short_is_named(tmp_path):
    path = tmp_path / "t.csv.gz"
    whole = gzip.compress(("symbol,ts_ns,price,size\n" + "".join(f"A,{n},1,1\n" for n in range(20_000))).encode())
    path.write_bytes(whole[:-2_000])
    with pytest.raises(SourceError, match=r"cannot read .*t\.csv\.gz: .*end-of-stream"):
        read(path)


def test_text_that_is_not_utf_8_is_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"symbol,ts_ns,price,size\n" + b"A,5,1,1\n" * 10_000 + b"\xff\n")
    with pytest.raises(SourceError, match=r"cannot read .*t\.csv: .*utf-8"):
        read(path)


def test_a_file_that_vanished_is_named(write):
    path = write("t.csv", TRADES)
    (file,) = find_tick_files([path])
    path.unlink()
    with pytest.raises(SourceError, match=r"cannot read .*t\.csv: No such file"):
        list(read_ticks(file, STOCKS, "ts_ns"))


def test_a_header_whose_quote_never_closes_is_named(write):
    """What the header is was read leniently, and then the rows' strict reader let a csv.Error out."""
    path = write("t.csv", 'symbol,ts_ns,price,size,"\nA,5,1,1,\n')
    with pytest.raises(SourceError, match=r"t\.csv, line 1: "):
        read(path)
