"""Which entropy model a file gets that was asked for one, with a codec of its own or another's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_memory import (
    GOLDEN_BITSWAP,
    GOLDEN_CONTEXT,
    TINY_BITSWAP,
    TINY_CONTEXT,
    one_thread_alone,
    options_for,
    tiny_networks,
    write_digits,
)

import drrpack
from drrpack import DRRDataset, OptionError
from drrpack.formats.container import Reader
from drrpack.operations.encode import carry_out
from drrpack.operations.encode_plan import EncodePlan, plan_encode
from drrpack.operations.encoding.models import Models

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures of each digit."""
    return write_digits(tmp_path_factory.mktemp("few") / "digits", train=6, test=0)


def planned(source: Path, output: Path, **more: Any) -> EncodePlan:
    with tiny_networks(TINY_CONTEXT, TINY_BITSWAP):
        return plan_encode(options_for(source, output, **more))


def encoded(source: Path, output: Path, **more: Any) -> Path:
    with tiny_networks(TINY_CONTEXT, TINY_BITSWAP), one_thread_alone():
        return carry_out(plan_encode(options_for(source, output, **more)))


@pytest.mark.parametrize(
    ("fit", "entropy", "quality"),
    [
        ("scratch", "table", 100), ("finetune", "table", 100),
        pytest.param("scratch", "adapted", None, marks=pytest.mark.slow),
        pytest.param("finetune", "adapted", None, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_fit_gets_the_model_that_is_made_of_the_codes(
    few: Path, tmp_path: Path, fit: str, entropy: str, quality: int | None
) -> None:
    codec = {"codec": GOLDEN_CONTEXT} if fit == "finetune" else {}
    path = encoded(few, tmp_path / "mem.drr", fit=fit, entropy=entropy, quality=quality, **codec)
    assert drrpack.stats(path).entropy_model == entropy
    drrpack.verify(path, "full")
    with Reader(path) as reader:
        assert reader.metadata["quality"] == (75 if quality is None else quality)
        networks = set(reader.metadata["fit"]["networks"])
    assert {"context_top", "context_bottom"} <= networks and "bitswap_top" not in networks
    with pytest.warns(UserWarning, match="holds these images already"):
        drrpack.append(path, few, extend=True, keep_entropy_model=True, device="cpu")
    assert len(DRRDataset(path)) == 2 * 60


def test_a_table_of_cheap_codes_is_refused_before_the_fit(few: Path, tmp_path: Path) -> None:
    for fit, codec in (("scratch", {}), ("finetune", {"codec": GOLDEN_CONTEXT})):
        with pytest.raises(
            OptionError, match=r"chosen by a context model.*`quality=100`"
        ) as caught:
            planned(few, tmp_path / "mem.drr", fit=fit, entropy="table", **codec)
        assert caught.value.option == "entropy"
    assert list(tmp_path.iterdir()) == []


def test_a_table_beside_the_papers_networks(few: Path, tmp_path: Path) -> None:
    """Their codes are the nearest, so nothing has to choose those of more images."""
    plan = planned(few, tmp_path / "mem.drr", preset="paper", entropy="table")
    assert kinds(plan.models) == (["bitswap"], (), ("table",), 100)
    with pytest.raises(OptionError, match=r"has bitswap and table alone; leave one of the two"):
        planned(few, tmp_path / "mem.drr", preset="paper", entropy="adapted")


def test_a_family_without_the_model_that_is_asked_for(few: Path, tmp_path: Path) -> None:
    """The images are small, so it is the family alone that stands in the way."""
    options = options_for(few, tmp_path / "mem.drr", fit="no", entropy="bitswap", family="medium")
    with pytest.raises(OptionError) as caught:
        plan_encode(options)
    told = str(caught.value)
    assert told.startswith("`entropy='bitswap'`: the codec of `family='medium'` that comes with")
    assert "images of this size" not in told and "say `family='small'`" in told
    for family in ("small", None):  # what the message says to do
        plan = plan_encode(replace(options, family=family))
        assert plan.models.kept == ("bitswap",)


def kinds(models: Models) -> tuple[list[str], tuple[str, ...], tuple[str, ...], int]:
    return [c.kind for c in models.fitted], models.kept, models.made, models.quality


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, (["context"], ("context",), (), 75)),
        ({"quality": 100}, (["context", "bitswap"], ("context", "bitswap"), (), 100)),
        ({"entropy": "context"}, (["context"], ("context",), (), 75)),
        ({"entropy": "bitswap"}, (["bitswap"], ("bitswap",), (), 100)),
        ({"entropy": "adapted"}, (["context"], (), ("adapted",), 75)),
        ({"entropy": "table", "quality": 100}, (["context"], (), ("table",), 100)),
        ({"codec": GOLDEN_CONTEXT}, ([], ("context",), (), 75)),
        ({"codec": GOLDEN_CONTEXT, "entropy": "adapted"}, ([], (), ("adapted",), 75)),
        ({"codec": GOLDEN_BITSWAP}, ([], ("bitswap",), (), 100)),
        ({"codec": GOLDEN_BITSWAP, "entropy": "table"}, ([], (), ("table",), 100)),
        ({"codec": GOLDEN_CONTEXT, "fit": "decoder"}, ([], ("context",), (), 75)),
        ({"fit": "no"}, ([], ("bitswap", "context"), ("adapted", "table"), 75)),
        ({"fit": "no", "entropy": "bitswap"}, ([], ("bitswap",), (), 75)),
    ],
)
def test_what_is_planned(few: Path, tmp_path: Path, more: dict[str, Any], wanted: object) -> None:
    assert kinds(planned(few, tmp_path / "mem.drr", **more).models) == wanted


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"codec": GOLDEN_BITSWAP, "entropy": "context"}, "has bitswap and table alone"),
        ({"codec": GOLDEN_BITSWAP, "entropy": "adapted"}, "has bitswap and table alone"),
        ({"codec": GOLDEN_BITSWAP, "quality": 75}, "`quality=75`: only a context model"),
        ({"entropy": "bitswap", "quality": 75}, "`quality=75`: only a context model"),
    ],
)
def test_what_cannot_be_had(few: Path, tmp_path: Path, more: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError) as caught:
        planned(few, tmp_path / "mem.drr", **more)
    assert words in str(caught.value)
