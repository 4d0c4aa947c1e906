"""Figures in running text and in tables of docs/ that `test_documents.py` does not compare."""

from __future__ import annotations

import json
from typing import Any

import pytest
from documents import ROOT
from test_documents import results, row, section

RESULTS = "docs/results.md"


def test_psnr_beside_files_of_equal_bytes() -> None:
    found = results("tin100-codec-quality")
    sizes = found["payload_bytes_per_image"], found["stats"]["bytes_per_image"]["total"]
    peers = found["peers_at_the_payloads_bytes"], found["peers_at_the_files_bytes"]
    heads = (f"at {sizes[0]:.1f} bytes each, models not counted", f"at {sizes[1]:.1f}, all told")
    images = f"{found['images']:,} images of the unseen classes"
    assert row(RESULTS, images, below="Bytes, bits and quality")[1:] == [*heads]
    assert row(RESULTS, "drrpack", f"{found['psnr_db']:.2f}")[1:] == 2 * [
        f"{found['psnr_db']:.2f} dB"
    ]
    for start, name in (("JPEG 4:2:0, tables", "JPEG 4:2:0"), ("WebP, container", "WebP")):
        assert row(RESULTS, start)[1:] == [f"{of[name]['psnr_db']:.2f} dB" for of in peers]


CODERS = {
    "drrpack, context model": "drrpack, context",
    "drrpack's rANS, one table": "drrpack's rANS, static table",
    "craystack, the same": "craystack, static table",
    "constriction, the same": "constriction, static table",
    "counts of the codes before": "adaptive order-0",
    "lzma, preset 9e": "lzma -9e",
    "zstd, level 19": "zstd -19",
}


@pytest.mark.parametrize("start", CODERS)
def test_coders_of_the_same_codes(start: str) -> None:
    found = results("tin100-peers")
    assert {one["name"] for one in found["rows"]} == {*CODERS.values()}
    (one,) = [one for one in found["rows"] if one["name"] == CODERS[start]]
    rates = one["images_encoded_a_second"], one["images_decoded_a_second"]
    shown = ["" if rate is None else f"{rate:,.0f}" for rate in rates]
    assert row("docs/rate.md", start, below="Coders")[1:] == [
        f"{one['bits_per_code']:.2f}", *shown
    ]  # fmt: skip
    assert f"of {found['images']:,} images" in section("docs/rate.md", "Coders")


def test_an_epoch_from_a_memory() -> None:
    found, text = results("tin10-train-speed"), " ".join(section(RESULTS, "Time").split())
    seconds, ratio = found["seconds_an_epoch"], found["ratio of PNG files to memory"]
    assert f"(ResNet-18 of width {found['width']}, {found['images']:,} images," in text
    assert f"takes {seconds['memory: training']:.1f} s on two cores" in text
    assert f"PNG files with two workers takes {seconds['PNG files: training']:.1f} s" in text
    assert f"the memory is {ratio['training']:.2f} times as fast" in text
    assert f"{ratio['batches alone']:.1f} times as fast if the loop only draws" in text
    assert f"decoded once: {seconds['decoding the memory, once']:.0f} s" in text
    assert (found["workers"], found["cores"]) == (2, 2)


def test_opening() -> None:
    found = results("opening")
    times = [found[f"{count} classes"]["beyond the models, ms"] for count in (100, 1000)]
    cells = row(RESULTS, "opening 100 and 1,000 classes")
    assert cells[2] == "{:.1f} and {:.1f} ms".format(*times)


def test_histories() -> None:
    found = results("faults-history")
    cells = row(RESULTS, "append, drop, merge in any order")
    assert cells[1].startswith(f"{found['steps']:,} steps of a Bit-Swap file, and 20 of each")
    assert not any(run["failed"] for run in found["runs"])
    assert sum(run["steps"] for run in found["runs"]) == found["steps"]
    assert cells[3] == "`benchmarks/faults/history.py`"


def test_training_on_a_gpu() -> None:
    found = results("h100-speed")["training, images a second"]
    text = " ".join(section(RESULTS, "On a GPU").split())
    rates = {(one["width"], one["processes"]): round(one["images"], -2) for one in found}
    for width, words in ((32, "runs at {:,.0f} images a second in one process and at {:,.0f} in"),
                         (64, "of width 64 at {:,.0f} and {:,.0f}")):  # fmt: skip
        assert words.format(rates[width, 1], rates[width, 8]) in text


def slope(command: str, name: str) -> float:
    """What each further image takes, between the smaller and the larger number of crops."""
    rows = [one for one in results("large-images")["rows"] if one["command"] == command]
    less, more = sorted(rows, key=lambda one: int(one["images"]))[1:]
    return float((more[name] - less[name]) / (more["images"] - less["images"]))


@pytest.mark.parametrize(
    ("start", "command"),
    [("`encode`, CPU seconds", "encode"), ("`verify --full`, CPU seconds", "verify --full"),
     ("`export` to PNG files, CPU seconds", "export")],
)  # fmt: skip
def test_cpu_seconds_of_large_images(start: str, command: str) -> None:
    cells = row("docs/scale.md", start)
    assert float(cells[-1]) == pytest.approx(slope(command, "cpu_seconds"), rel=0.03)


def test_payload_of_large_images() -> None:
    (most,) = [
        one for one in results("large-images")["rows"]
        if one["command"] == "encode" and one["images"] == 3925
    ]  # fmt: skip
    each = most["payload_bytes"] / most["images"]
    assert row("docs/scale.md", "payload, bytes an image")[-1].startswith(f"{each:.0f} (3,925 ")


def result(folder: str) -> Any:
    path = ROOT / "benchmarks" / "results" / folder / "result.json"
    return json.loads(path.read_text("utf-8"))


def test_what_other_settings_give() -> None:
    text = " ".join(section(RESULTS, "All methods on CIFAR-100").split())
    base = result("cifar100-study/icarl-5phases-seed0")["phases"][0]["accuracy"]
    rates = [result(f"icarl-rates/{rate}")["last_accuracy"] for rate in (2, 4)]
    assert f"it begins with {base:.1f} % of 50 classes" in text
    assert "it has {:.1f} %, and {:.1f} % at twice the published".format(*rates) in text
    der = result("der-temperature")
    assert der["config"]["options"]["temperature"] == 1
    assert f"{der['average_accuracy']:.1f} % on average over the phases" in text
    assert f"{der['memory_bytes']['total'] / 1e6:.2f} MB (`benchmarks/results/der-temp" in text
    drr = result("cifar100-study/drr-5phases-seed0")
    ahead = [der[name] - drr[name] for name in ("average_accuracy", "last_accuracy")]
    assert "So it is {:.1f} and {:.1f} points above `drr`".format(*ahead) in text


def test_what_the_last_network_knows_of_groups() -> None:
    text = " ".join(section(RESULTS, "All methods on CIFAR-100").split())
    lucir, own = (result(f"cifar100-study/{name}-5phases-seed0") for name in ("lucir", "mnemonics"))
    apart = lucir["average_accuracy"] - own["average_accuracy"]
    assert f"exemplars that are optimised, and is {apart:.1f} points below it" in text
    ends = [run["phases"][-1]["group_accuracy"] for run in (own, lucir)]
    assert (
        "newest ten it knows {:.1f} %, where `lucir` knows {:.1f} %".format(
            *(end[-1] for end in ends)
        )
        in text
    )
    assert "keeps no more ({:.1f} and {:.1f} %)".format(*(end[0] for end in ends)) in text
    gfr, lwf = (result(f"cifar100-study/{name}-5phases-seed0") for name in ("gfr", "lwf"))
    begins, kept = gfr["phases"][0]["accuracy"], gfr["phases"][-1]["group_accuracy"]
    assert f"for Adam gives it {begins:.1f} % of the first 50 classes" in text
    told = "it keeps {:.1f} % of the base, and of the next ten classes {:.1f} %".format(*kept)
    assert told in text
    above = gfr["average_accuracy"] - lwf["average_accuracy"]
    assert f"points below `drr` on average, and {above:.1f} above `lwf`" in text


def runs_of(study: str) -> dict[str, list[Any]]:
    """The results of each method of a study."""
    found = dict[str, list[Any]]()
    for path in sorted((ROOT / "benchmarks" / "results" / study).glob("*/result.json")):
        found.setdefault(path.parent.name.split("-5phases")[0], []).append(
            result(f"{study}/{path.parent.name}")
        )
    return found


def below_drr(study: str, method: str) -> tuple[float, float]:
    """How far a method is below `drr`, on average over the phases and after the last one."""
    runs, names = runs_of(study), ("average_accuracy", "last_accuracy")
    first, other = (
        [sum(run[name] for run in runs[one]) / len(runs[one]) for name in names]
        for one in ("drr", method)
    )
    return first[0] - other[0], first[1] - other[1]


@pytest.mark.parametrize(
    ("study", "heading", "method", "words"),
    [
        ("cifar100-study", "All methods on CIFAR-100", method, words)
        for method, words in {
            "ub": "`drr` is {0:.1f} points below it on average and {1:.1f} after the last phase",
            "er-jpeg": "`drr` is {0:.1f} points above it on average and {1:.1f} after the last",
            "er-webp": "(`er-webp`) are {0:.1f} points below `drr` on average",
            "drr-soft": "(`drr-soft`) take {0:.1f} points on average and {1:.1f} after the last",
            "gfr": "is {0:.1f} points below `drr` on average",
            "lucir": "`drr` is {0:.1f} points above `lucir` on average over the phases and {1:.1f}",
            "memo": "and {0:.1f} points below `drr` at their published settings",
        }.items()
    ] + [
        ("h100-cifar100-study", "The same with a wider network, on a GPU", "ub",
         "`drr` is {0:.1f} points below `ub` on average and {1:.1f} after the last phase"),
        ("tin20-study", "What a classifier makes of it", "ub",
         "the price of compression: {0:.1f} points on average, {1:.1f} in the last phase"),
        ("tin20-study", "What a classifier makes of it", "er-webp",
         "WebP files one that is {0:.1f} points worse on average"),
    ],
)  # fmt: skip
def test_how_far_methods_are_apart(study: str, heading: str, method: str, words: str) -> None:
    text = " ".join(section(RESULTS, heading).split())
    apart = (round(abs(points), 3) for points in below_drr(study, method))
    assert words.format(*(points + 1e-9 for points in apart)) in text


def test_how_far_methods_fall() -> None:
    text = " ".join(section(RESULTS, "All methods on CIFAR-100").split())
    runs = {name: found[0] for name, found in runs_of("cifar100-study").items()}
    first, second, *_, last = (phase["accuracy"] for phase in runs["der"]["phases"])
    assert f"falls by {first - second:.1f} points in its first phase" in text
    assert f"and by {second - last:.1f} in the other four" in text
    falls = [
        runs[name]["phases"][0]["accuracy"] - runs[name]["last_accuracy"]
        for name in ("drr", "lucir")
    ]
    assert "its accuracy falls by {:.1f} points from 50 to 100 classes".format(falls[0]) in text  # noqa: UP032
    assert f"that of `lucir` by {falls[1]:.1f}" in text
