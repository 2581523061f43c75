"""`dev-cert`: files that a server and its clients can use, and that nobody loses by mistake."""

from __future__ import annotations

import ssl
import stat
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import trio
from cli.kit import Terminal
from cryptography import x509

from datafye_trio import ServerConfig, open_server
from datafye_trio.cli.certificates import issue
from datafye_trio.cli.dev_cert import DevCertFlags, dev_cert


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_files_and_the_two_commands_that_use_them(terminal: Terminal, tmp_path: Path) -> None:
    folder = tmp_path / "my certs"
    code, out, err = terminal.run("dev-cert", str(folder), "Market.test", "192.168.1.20", "localhost", "*.market.test")
    assert (code, err) == (0, "")
    ca, cert, key = (f"'{folder / name}'" for name in ("ca.pem", "cert.pem", "key.pem"))
    first, second, third, empty, serve, watch = out.splitlines()
    assert first == f"{ca}    the authority that clients are to trust"
    assert second.startswith(f"{cert}  localhost, 127.0.0.1, ::1, market.test, 192.168.1.20, *.market.test; until 20")
    assert third == f"{key}   its key, for you alone to read"
    assert empty == ""
    assert serve == f"datafye-trio serve --cert {cert} --key {key}"
    assert watch == f"datafye-trio watch wss://localhost:8080/datafye-ws/v1 --ca {ca}"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"ca.pem": 0o644, "cert.pem": 0o644, "key.pem": 0o600}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "market.test", "other.test"])
async def test_a_client_that_trusts_the_authority_gets_through_by_the_names(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, host: str
) -> None:
    dev_cert(tmp_path, ["market.test"], DevCertFlags())
    context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    config = ServerConfig(port=0, cert=str(tmp_path / "cert.pem"), key=str(tmp_path / "key.pem"))
    with trio.fail_after(30):
        async with open_server(config) as server:
            tcp = await trio.open_tcp_stream("127.0.0.1", server.port)
            async with trio.SSLStream(tcp, context, server_hostname=host, https_compatible=True) as stream:
                if host == "other.test":
                    with pytest.raises(trio.BrokenResourceError) as caught:
                        await stream.do_handshake()
                    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
                else:
                    await stream.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    assert (await stream.receive_some(1_000)).startswith(b"HTTP/1.1 200 ")


def test_what_is_in_the_certificate() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    issued, other = (issue(["localhost", "::1"], now, 10) for _ in range(2))
    certificate, authority = map(x509.load_pem_x509_certificate, (issued.certificate, issued.authority))
    certificate.verify_directly_issued_by(authority)
    for one in (certificate, authority):
        assert one.not_valid_before_utc == now - timedelta(hours=1)
        assert one.not_valid_after_utc == now + timedelta(days=10)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("::1")]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert x509.load_pem_x509_certificate(other.authority).subject != authority.subject
    assert len({issued.key, other.key, issued.authority, other.authority}) == 4


def test_nothing_is_written_over_unless_that_is_meant(terminal: Terminal, tmp_path: Path) -> None:
    assert terminal.run("dev-cert", str(tmp_path))[0] == 0
    (tmp_path / "ca.pem").unlink()
    before = files(tmp_path)
    line = terminal.complain("dev-cert", str(tmp_path))
    assert line == f"{tmp_path}/cert.pem, {tmp_path}/key.pem: there already; --force writes over what is there"
    assert files(tmp_path) == before
    assert terminal.run("dev-cert", str(tmp_path), "--force")[0] == 0
    after = files(tmp_path)
    assert after.keys() == {"ca.pem", "cert.pem", "key.pem"}
    assert after["key.pem"] != before["key.pem"]


@pytest.mark.parametrize(
    "name", ["a b", "-a.test", "büch.test", "a..test", "", "https://a.test", "a" * 64, "*", "1.2.3.4/8"]
)
def test_what_is_no_name_is_one_line(terminal: Terminal, tmp_path: Path, name: str) -> None:
    line = terminal.complain("dev-cert", "--", str(tmp_path / "certs"), name)
    assert line.startswith(f"{name!r} is neither an address nor a host name in ASCII")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("days", ["0", "826"])
def test_a_validity_that_clients_would_refuse(terminal: Terminal, tmp_path: Path, days: str) -> None:
    line = terminal.complain("dev-cert", str(tmp_path), "--days", days)
    assert line == "--days is 1 to 825, which is the most that all clients take"


def test_a_folder_that_is_none(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert terminal.complain("dev-cert", str(tmp_path / "file")) == f"cannot write to {tmp_path}/file: File exists"


def test_a_write_that_fails_leaves_nothing_half(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("datafye_trio.cli.dev_cert.os.fchmod", full)
    assert terminal.complain("dev-cert", str(tmp_path)) == f"cannot write to {tmp_path}: No space left on device"
    assert not list(tmp_path.iterdir())


def test_without_the_extra_it_says_what_to_install(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "datafye_trio.cli.certificates")
    monkeypatch.setitem(sys.modules, "cryptography", None)
    line = terminal.complain("dev-cert", str(tmp_path))
    assert line.startswith("dev-cert needs cryptography (")
    assert line.endswith("): pip install 'datafye-trio[certs]'")
