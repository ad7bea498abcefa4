"""Secrets come from the environment or from systemd's credentials, and are redacted in text."""

from __future__ import annotations

from pathlib import Path

import pytest

from notifier.secrets import SecretMissing, Secrets


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.delenv("TEST_SECRET", raising=False)
    return tmp_path


def test_a_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SECRET", " 12:abc\n")
    assert Secrets().get("TEST_SECRET") == "12:abc"


def test_a_secret_comes_from_a_credential_file(credentials: Path) -> None:
    (credentials / "TEST_SECRET").write_text("12:abc\n")
    assert Secrets().get("TEST_SECRET") == "12:abc"


def test_the_environment_has_priority_over_the_file(
    credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (credentials / "TEST_SECRET").write_text("file")
    monkeypatch.setenv("TEST_SECRET", "environment")
    assert Secrets().get("TEST_SECRET") == "environment"
    monkeypatch.setenv("TEST_SECRET", " ")
    assert Secrets().get("TEST_SECRET") == "file"


def test_a_missing_or_empty_secret_is_named(credentials: Path) -> None:
    with pytest.raises(SecretMissing, match="secret TEST_SECRET is missing"):
        Secrets().get("TEST_SECRET")
    (credentials / "TEST_SECRET").write_text(" \n")
    with pytest.raises(SecretMissing, match="secret TEST_SECRET is missing"):
        Secrets().get("TEST_SECRET")


def test_a_missing_secret_is_named_without_a_credentials_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(SecretMissing, match="TEST_SECRET"):
        Secrets().get("TEST_SECRET")


def test_an_unreadable_file_is_named(credentials: Path) -> None:
    (credentials / "TEST_SECRET").write_bytes(b"\xff\xfe")
    with pytest.raises(SecretMissing, match="TEST_SECRET: it is not text"):
        Secrets().get("TEST_SECRET")
    (credentials / "TEST_SECRET").unlink()
    (credentials / "TEST_SECRET").mkdir()
    with pytest.raises(SecretMissing, match=r"TEST_SECRET: Is a directory"):
        Secrets().get("TEST_SECRET")


@pytest.mark.parametrize("secret", ["two words", "two\nlines", "ключ", "bell\x07"])
def test_a_secret_that_is_not_one_word_of_ascii_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("TEST_SECRET", secret)
    with pytest.raises(SecretMissing, match="TEST_SECRET is unusable") as caught:
        Secrets().get("TEST_SECRET")
    assert secret not in str(caught.value)


def test_secrets_in_use_are_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = Secrets()
    assert secrets.redact("nothing known") == "nothing known"
    monkeypatch.setenv("LONG", "12:abc/d")
    monkeypatch.setenv("SHORT", "12:abc")
    for name in ("SHORT", "LONG"):
        secrets.get(name)
    text = "POST /bot12:abc/d/x, 12:abc, 12%3Aabc%2Fd, 12%3Aabc."
    assert secrets.redact(text) == "POST /bot***/x, ***, ***, ***."


def test_a_secret_that_is_too_short_is_not_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORGANIZATION", "99")
    secrets = Secrets()
    assert secrets.get("ORGANIZATION") == "99"
    assert secrets.redact("14:05:99 DUTY-99") == "14:05:99 DUTY-99"
