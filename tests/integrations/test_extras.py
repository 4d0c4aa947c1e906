"""Without its library an integration says which command installs it."""

from __future__ import annotations

import importlib
import sys

import pytest

from drrpack import DrrError


@pytest.mark.parametrize(
    ("module", "library", "extra"),
    [("lightning", "lightning.pytorch", "lightning"), ("huggingface", "datasets", "datasets"),
     ("avalanche", "avalanche.benchmarks", "avalanche")],
)  # fmt: skip
def test_the_line_to_install_is_named(
    module: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)  # importing it fails then
    monkeypatch.delitem(sys.modules, f"drrpack.integrations.{module}", raising=False)
    with pytest.raises(DrrError) as caught:
        importlib.import_module(f"drrpack.integrations.{module}")
    assert str(caught.value).endswith(f'pip install "drrpack[{extra}]"')
