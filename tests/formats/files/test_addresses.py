"""Addresses and the secrets in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drrpack import OutputError
from drrpack.formats.files.addresses import (
    has_secrets,
    is_address,
    output_path,
    shown,
    without_secrets,
)

SHOWN = {
    "https://host/mem.drr": "https://host/mem.drr",
    "https://host:8080/a@b/mem.drr": "https://host:8080/a@b/mem.drr",
    "https://[::1]:80/a@b/mem.drr": "https://[::1]:80/a@b/mem.drr",
    "hf://datasets/anna/memories@main/mem.drr": "hf://datasets/anna/memories@main/mem.drr",
    "https://anna:pass@host/mem.drr": "https://***@host/mem.drr",
    "https://anna:p@ss@host:8080/mem.drr": "https://***@host:8080/mem.drr",
    "https://token@host/mem.drr": "https://***@host/mem.drr",
    "s3://KEY:se/cr+et@bucket/mem.drr": "s3://***@bucket/mem.drr",
    "https://host/mem.drr?Signature=abc": "https://host/mem.drr?***",
    "https://anna:pass@host/mem.drr?x=1&y=a@b": "https://***@host/mem.drr?***",
    "s3://bucket": "s3://bucket",
    "x://": "x://",
    "a/path@b?c.drr": "a/path@b?c.drr",
}


@pytest.mark.parametrize("address", SHOWN)
def test_what_is_shown(address: str) -> None:
    assert shown(address) == SHOWN[address]
    assert shown(shown(address)) == shown(address) and is_address(shown(address)) == (
        "://" in address
    )
    assert has_secrets(address) == (address != SHOWN[address])


WORD = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=6, max_size=12)


@given(WORD, WORD, WORD)
def test_no_secret_survives_in_others_words(user: str, password: str, token: str) -> None:
    address = f"https://{user}:{password}@h/m?t={token}"
    words = f"GET {address} with {password} and {token}, as {user}:{password}: failed"
    hidden = without_secrets(words, address)
    assert password not in hidden and token not in hidden
    assert hidden.startswith("GET https://") and hidden.endswith("failed")


def test_nothing_is_written_to_an_address() -> None:
    for address in ("s3://bucket/new.drr", "https://anna:pass@host/new.drr"):
        with pytest.raises(OutputError, match="drrpack writes on this machine alone") as caught:
            output_path(address)
        assert str(caught.value).startswith(SHOWN.get(address, shown(address)))
        assert "pass@" not in str(caught.value)
    assert output_path("new.drr") == Path("new.drr")
