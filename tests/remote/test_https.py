"""Servers behind HTTPS: whose certificates are trusted."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_server import ScriptedServer, scripted_server

from rstar_fast.errors import ConfigError, TransientError
from rstar_fast.policy import ExpandRequest, Sampling, ServerPolicy

WAIT_S = 60


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of a certificate that 127.0.0.1 signed itself, and of its key."""
    if shutil.which("openssl") is None:
        pytest.skip("the command openssl makes the certificate")
    file = tmp_path_factory.mktemp("tls") / "own.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    words += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    words += ["-keyout", str(file)]
    made = subprocess.run(words, check=True, capture_output=True, text=True)
    with file.open("a") as out:
        out.write(made.stdout)
    return str(file)


@pytest.fixture
def server(certificate: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    with scripted_server(certificate=certificate) as found:
        yield found


def test_a_certificate_that_nobody_trusts_is_told(server: ScriptedServer) -> None:
    expected = r"certificate is not trusted: self-signed certificate; SSL_CERT_FILE may name"
    with pytest.raises(TransientError, match=expected):
        ServerPolicy(server.address)


def test_a_certificate_is_trusted_by_the_environment(
    server: ScriptedServer, certificate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    policy = ServerPolicy(server.address)
    found = policy.submit(ExpandRequest(0, "p", 0, "Q", (), 1, 0, Sampling())).result(WAIT_S)
    policy.close()
    assert found.error is None and len(found.candidates) == 1
    # It is one for the address alone.
    with pytest.raises(TransientError, match=r"not trusted: Hostname mismatch.*localhost"):
        ServerPolicy(server.address.replace("127.0.0.1", "localhost"))


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_are_none_are_told(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "own.pem"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with pytest.raises(ConfigError, match=rf"SSL_CERT_FILE={file}: expected certificates"):
        ServerPolicy("https://127.0.0.1:9")
