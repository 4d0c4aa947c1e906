"""What README and docs/ say: figures that were measured, options, paths and links that exist."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
import typer
from documents import DOCUMENTS, ROOT

from drrpack.cli.app import app
from drrpack.trainers.incremental.methods import METHODS

RESULTS = ROOT / "benchmarks" / "results"


def text_of(document: str) -> str:
    if not (ROOT / document).is_file():
        pytest.skip(f"there is no {document}")
    return (ROOT / document).read_text("utf-8")


def results(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every row of every table."""
    for line in text.splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def section(document: str, heading: str) -> str:
    """What stands below a heading of the second or third order, up to the next."""
    below = re.split(rf"\n##+ {re.escape(heading)}\n", text_of(document))[1]
    return re.split(r"\n##+ ", below)[0]


def row(document: str, *start: str, below: str | None = None) -> list[str]:
    """The one row whose first cells begin with these, in the document or below a heading."""
    found = [
        cells
        for cells in rows(text_of(document) if below is None else section(document, below))
        if all(cell.startswith(text) for cell, text in zip(cells, start, strict=False))
    ]
    assert len(found) == 1, f"{document}: {len(found)} rows {start}"
    return found[0]


# --- figures against the files that scripts wrote ------------------------------------------------


@pytest.mark.parametrize(
    ("start", "part"),
    [("payload", "payload"), ("VQ-VAE", "vqvae"), ("context model", "entropy_model"),
     ("index and container", "container"), ("in all", "file")],
)  # fmt: skip
def test_bytes_of_the_file(start: str, part: str) -> None:
    measured = results("tin100-stats")
    size = measured["bytes"][part]
    _, in_all, each = row("docs/results.md", start)
    assert (in_all, each) == (f"{size:,}", f"{size / measured['images']:.1f}")


@pytest.mark.parametrize("level", ["top", "bottom", "all"])
def test_bits_per_code(level: str) -> None:
    bits = results("tin100-stats")["bits_per_code"][level]
    _, coded, order0, lzma, below = row("docs/results.md", level)
    assert [coded, order0, lzma] == [f"{bits[name]:.3f}" for name in ("coded", "order0", "lzma")]
    assert below == f"{100 * (1 - bits['coded'] / bits['order0']):.1f} %"


@pytest.mark.parametrize(("name", "column"), [("cifar100-encode", 1), ("cifar100-paper", 2)])
def test_what_networks_take_of_cifar100(name: str, column: int) -> None:
    measured = results(name)
    size = {name: count / 2**20 for name, count in measured["stats"]["bytes"].items()}
    bits = measured["stats"]["bits_per_code"]["all"]
    for start, shown in (
        ("streams of 50,000 images", f"{size['payload']:.2f} MiB"),
        ("models", f"{size['vqvae']:.2f} + {size['entropy_model']:.2f} MiB"),
        ("20 raw images of each class", f"{size['raw']:.2f} MiB"),
        ("bits of a code", f"{bits['coded']:.2f}"),
        ("order-0 entropy", f"{bits['order0']:.2f}"),
        ("PSNR of 2,000 training images", f"{measured['stats']['psnr_db']:.2f} dB"),
    ):
        assert row("docs/results.md", start)[column] == shown
    assert measured["stats"]["psnr_images"] == 2000


def test_what_cifar100_takes() -> None:
    measured = results("cifar100-encode")
    assert measured["streams"] == {"classes": 100, "equal": 100}
    minutes, seconds = divmod(round(measured["encode"]["seconds"]), 60)
    assert f"({minutes}:{seconds:02} on one core of two)" in text_of("docs/results.md")
    whole = measured["stats"]["bytes"]
    each = (whole["file"] - whole["raw"]) / 50_000
    assert f"takes {each:.1f} bytes an image" in text_of("docs/results.md")
    assert f"CIFAR-100 take {each:.0f} bytes each" in text_of("README.md")
    own = whole["vqvae"] + whole["entropy_model"]
    paper = results("cifar100-paper")
    whole, bits = paper["stats"]["bytes"], paper["stats"]["bits_per_code"]
    models = whole["vqvae"] + whole["entropy_model"]
    seconds = sum(one["seconds"] for one in paper["fit"]["networks"].values())
    text = text_of("docs/results.md")
    assert f"`--fit --preset paper`, {seconds / 60:.0f} minutes" in text
    assert f"takes {(whole['file'] - whole['raw']) / 50_000:.1f} bytes an image without raw" in text
    assert f"{models / 50_000:.1f} of them models" in text
    assert f"that come with drrpack take {own / 50_000:.1f}." in text
    assert f"take {bits['top']['coded']:.2f} bits" in text
    assert f"the bottom one {bits['bottom']['coded']:.2f}," in text
    assert f"That is {paper['fit']['networks']['vqvae']['epochs']:.0f} epochs of the VQ-VAE" in text


@pytest.mark.parametrize(
    ("start", "family"),
    [("raw pixels", "raw"), ("a memory, quality 75", "DRR"),
     ("a memory with `--decoder-only`", "DRR decoder-only"), ("a memory with `--thin`", "DRR thin"),
     ("JPEG files", "JPEG"), ("WebP files", "WebP"), ("AVIF files", "AVIF"),
     ("JPEG sheets", "JPEG-sheet"), ("WebP sheets", "WebP-sheet"), ("AVIF sheets", "AVIF-sheet")],
)  # fmt: skip
def test_what_cifar100_teaches(start: str, family: str) -> None:
    choices = results("cifar100-compare")["choices"]
    (one,) = [c for c in choices if c["family"] == family and c["accuracy"] is not None]
    cells = row("docs/results.md", start)
    if "quality" in cells[0]:
        assert cells[0].endswith(f"quality {one['setting'].removeprefix('q')}")
    whole = one["bytes_an_image"] == int(one["bytes_an_image"])
    assert cells[1] == f"{one['bytes_an_image']:,.{0 if whole else 1}f}"
    assert cells[2] == ("" if one["psnr_db"] is None else f"{one['psnr_db']:.2f} dB")
    assert cells[3] == (f"{one['ssim']:.3f}" if one["ssim"] < 1 else "1")
    assert cells[4] == f"{one['accuracy']:.1f} ± {one['accuracy_std']:.1f} %"


CIFAR100 = "All methods on CIFAR-100"
CIFAR100_STUDY = sorted((RESULTS / "cifar100-study").glob("*/result.json"))
H100_STUDY = sorted((RESULTS / "h100-cifar100-study").glob("*/result.json"))


@pytest.mark.parametrize("folder", results("strange")["folders"])
def test_images_of_other_kinds(folder: str) -> None:
    found = results("strange")["folders"][folder]
    thin, simpler = found["files"]["thin"], found["simpler_bits_per_code"]["all"]
    (cells,) = [one for one in rows(section("docs/rate.md", KINDS)) if f"(`{folder}`)" in one[0]]
    bits = thin["bits_with_model"], simpler["table"], simpler["lzma"]
    sizes = thin["bytes_per_image"], found["files"]["default"]["bytes_per_image"]
    assert cells[1] == f"{found['images']:,}" and cells[3] == thin["entropy_model"]
    assert [cells[2], *cells[4:6]] == [f"{value:.2f}" for value in bits]
    jpeg = found["rivals"]["JPEG"]["bytes_per_image"]
    assert cells[6:] == [f"{value:.1f}" for value in (*sizes, jpeg)]
    assert found["files"]["default"]["entropy_model"] == "table" and bits[0] < bits[1]
    assert (bits[0] < bits[2]) == (folder != "turning")


KINDS = "Images of other kinds"


def methods(study: list[Path]) -> list[str]:
    return sorted({path.parent.name.split("-5ph")[0] for path in study})


@pytest.mark.parametrize("method", methods(CIFAR100_STUDY))
def test_the_study_of_cifar100(method: str) -> None:
    check_study(method, CIFAR100_STUDY, (8, 8), CIFAR100)


FORMS = (
    "paper", "ten-times", "sum", "before-relu", "centred", "stages", "predictor", "balanced",
    "soft", "flip", "ten-crop", "randaugment", "autoaugment", "autoaugment-back",
)  # fmt: skip


def test_the_forms_of_information_back() -> None:
    ends = dict[str, dict[str, float]]()
    for path in (RESULTS / "information-back").glob("*/result.json"):
        form, seed = path.parent.name.split("-seed")
        ends.setdefault(form, {})[seed] = json.loads(path.read_text())["last_accuracy"]
    plain = ends.pop("drr")
    _, _, *table = rows(section("docs/results.md", "Other forms of information back"))
    assert ends.keys() == set(FORMS) and len(table) == len(FORMS)
    for form, cells in zip(FORMS, table, strict=True):
        apart = [end - plain[seed] for seed, end in ends[form].items()]
        assert cells[1:] == [
            str(len(apart)), f"{mean(ends[form].values()):.1f} %", f"{mean(apart):+.1f}",
        ]  # fmt: skip
    assert "they are {:.1f} and {:.1f}".format(
        *(ends["paper"][seed] - plain[seed] for seed in "01")
    ) in " ".join(section("docs/results.md", "Other forms of information back").split())


@pytest.mark.parametrize("method", methods(H100_STUDY))
def test_the_study_on_a_gpu(method: str) -> None:
    check_study(method, H100_STUDY, (10, 32), "The same with a wider network, on a GPU")


def check_study(method: str, study: list[Path], size: tuple[int, int], heading: str) -> None:
    """A row for each method that was run: means over its seeds."""
    runs = [json.loads(p.read_text()) for p in study if p.parent.name.startswith(f"{method}-5")]
    for run in runs:
        assert (run["method"], run["epochs"], run["width"]) == (method, *size)
        assert run["complete"] and run["config"]["base"] == 50
    cells = row("docs/results.md", f"`{method}`", below=heading)
    names = "average_accuracy", "average_accuracy_with_base", "last_accuracy", "forgetting"
    for cell, name in zip(cells[1:], names, strict=False):
        values = [run[name] for run in runs]
        deviation = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
        assert cell == f"{mean(values):.1f}{deviation}"
    assert cells[5] == f"{runs[0]['memory_bytes']['total'] / 1e6:.2f} MB"


def test_what_is_missing_in_the_study_of_cifar100_is_named() -> None:
    done = {path.parent.name.split("-5ph")[0] for path in CIFAR100_STUDY}
    missing = re.search(r"Not measured: (.*?)\.", section("docs/results.md", CIFAR100), re.DOTALL)
    named = set(re.findall(r"`([a-z-]+)`", missing[1])) if missing else set()
    assert named == set(METHODS) - done


def test_every_method_stands_where_a_user_looks() -> None:
    """In the help of `drrpack train`, in the table of methods, and in the study's script."""
    command = typer.main.get_command(app)
    (option,) = [p for p in command.commands["train"].params if p.name == "method"]  # type: ignore[attr-defined]
    words = set(re.findall(r"[a-z-]+", option.help))
    table = {
        name
        for cells in rows(text_of("docs/training.md"))
        for name in re.findall(r"`([a-z-]+)`", cells[0])
    }
    study = set((ROOT / "benchmarks" / "protocol.sh").read_text("utf-8").replace("'", " ").split())
    for name in METHODS:
        assert name in words and name in table, name
        assert name in study or name == "ub", name


IN_README = {
    "raw images": ("raw", ""),
    "drrpack, without the models": ("DRR thin", "q75"),
    "all images of a class in one AVIF picture": ("AVIF-sheet", "q28"),
    "JPEG, quality 8": ("JPEG", "q8"),
    "WebP, quality 0": ("WebP", "q0"),
}
SHEETS = re.compile(r"an? (JPEG|WebP|AVIF) sheet of each class, quality ([\d.]+)")


@pytest.mark.parametrize(("size", "measured"), [("32x32", "small"), ("64x64", "medium")])
def test_accuracy_over_bytes(size: str, measured: str) -> None:
    """The tables of all that classifiers learned from."""
    choices = learned_from(f"curves-{measured}")
    shown = set[tuple[str, str]]()
    for cells in rows(section("docs/rate.md", f"At {size}")):
        if cells[0] in ("", "---"):
            continue  # the head
        name, _, quality = cells[0].partition(", quality ")
        if sheet := SHEETS.fullmatch(cells[0]):
            name, quality = f"{sheet[1]}-sheet", sheet[2]
        name = {"raw images": "raw", "DRR with all its models": "DRR"}.get(name, name)
        one = choices[name, quality and f"q{quality}"]
        each = ", ".join(f"{accuracy:.1f}" for accuracy in one["accuracies"])
        assert cells[1:3] + cells[4:] == bytes_psnr_accuracy(one), cells[0]
        assert cells[3] == f"{each} %"
        shown.add((one["family"], one["setting"]))
    assert shown == {key for key, one in choices.items() if one["accuracies"]} - {
        ("DRR decoder-only", "q75")
    }


def test_accuracy_over_bytes_in_the_readme() -> None:
    choices = learned_from("curves-small")
    for start, choice in IN_README.items():
        assert row("README.md", start)[1:] == bytes_psnr_accuracy(choices[choice])
    assert f"take {choices['DRR', 'q75']['bytes_an_image']:.1f} bytes each" in text_of("README.md")


def learned_from(name: str) -> dict[tuple[str, str], Any]:
    return {(c["family"], c["setting"]): c for c in results(name)["choices"]}


def bytes_psnr_accuracy(one: dict[str, Any]) -> list[str]:
    return [
        f"{one['bytes_an_image']:,.1f}".removesuffix(".0"),
        "" if one["psnr_db"] is None else f"{one['psnr_db']:.2f} dB",
        f"{mean(one['accuracies']):.1f} %",
    ]


@pytest.mark.parametrize(
    ("start", "family", "setting"),
    [("raw images", "raw", ""), ("JPEG, quality 10", "JPEG", "q10"),
     ("AVIF, quality 15", "AVIF", "q15"), ("WebP, quality 0", "WebP", "q0")],
)  # fmt: skip
def test_what_rivals_give(start: str, family: str, setting: str) -> None:
    choices = results("tin100-compare")["choices"]
    (one,) = [c for c in choices if (c["family"], c["setting"]) == (family, setting)]
    cells = row("docs/results.md", start)
    assert cells[1] == f"{one['bytes_an_image']:,.1f}".removesuffix(".0")
    assert cells[2] == ("" if one["psnr_db"] is None else f"{one['psnr_db']:.2f} dB")
    assert cells[-1] == f"{one['accuracy']:.1f} ± {one['accuracy_std']:.1f} %"


def test_what_a_memory_gives() -> None:
    choices = results("tin100-compare")["choices"]
    ours = [c for c in choices if c["family"].startswith("DRR") and c["accuracy"] is not None]
    cells = next(c for c in rows(text_of("docs/results.md")) if c[0].startswith("DRR"))
    shown = [
        (f"{c['bytes_an_image']:.1f}", f"{c['psnr_db']:.2f} dB",
         f"{c['accuracy']:.1f} ± {c['accuracy_std']:.1f} %")
        for c in ours
    ]  # fmt: skip
    assert (cells[1], cells[2], cells[-1]) in shown


@pytest.mark.parametrize(
    ("start", "names"),
    [("pictures to streams", ["encode"]),
     ("the same, decoded", ["encode, then decode and compare", "lossless WebP files"]),
     ("codes to streams", ["codes to streams", "codes by lzma"]),
     ("streams to codes", ["streams to codes"]),
     ("codes to pixels", ["pixels from codes", "pixels from JPEG files"])],
)  # fmt: skip
def test_speeds(start: str, names: list[str]) -> None:
    rates = results("tin100-encode-speed")["images_per_second"]
    shown = [
        int(cell.split(", ")[0].replace(",", ""))
        for cell in row("docs/results.md", start, below="Time")[1:]
        if cell
    ]
    assert shown == pytest.approx([rates[name] for name in names], abs=0.51)


@pytest.mark.parametrize(
    "stage", ["images to codes", "codes to streams", "streams to codes", "codes to pixels"]
)
def test_speeds_on_a_gpu(stage: str) -> None:
    found = results("h100-speed")["codec, images a second"]
    cells = row("docs/results.md", stage, below="On a GPU")
    shown = [int(cell.replace(",", "")) for cell in cells[1:]]
    assert shown == pytest.approx([found[place][stage] for place in ("cuda", "cpu")], abs=0.51)


def test_exactness_on_a_gpu() -> None:
    found = results("h100-exactness")
    assert found["all equal"] and found["images"] == 2_000
    pixels, codes = found["gpu"]["pixels"], found["gpu"]["codes of the same images"]
    assert pixels["equal"] == 1
    assert f"{100 * codes:.2f} % are equal" in section("docs/results.md", "On a GPU")


def test_the_integrations_on_cifar100() -> None:
    found = results("integrations")["accuracy, %"]
    for name, figures in found.items():
        shown = [figures[part] for part in ("all", "first task", "second task")]
        cells = row("docs/integrations.md", name, below="On CIFAR-100")
        assert cells[1:] == [f"{figure:.1f} %" for figure in shown]


def test_what_latents_carry() -> None:
    found = results("latents")
    part = "What latents carry"
    rows_of = {
        "order-0 entropy": "order-0",
        "Bit-Swap": "Bit-Swap",
        "of these, codes": "codes given their own latents",
        "codes given the latents of another": "codes given another image's",
        "the context model": "context",
    }
    for label, name in rows_of.items():
        shown = [f"{found['bits a code'][level][name]:.3f}" for level in ("top", "bottom")]
        assert row("docs/rate.md", label, below=part)[1:] == shown
    text = section("docs/rate.md", part)
    for bits in found["bits a code"].values():
        assert f"{100 * (1 - bits['Bit-Swap'] / bits['order-0']):.1f}" in text
        assert f"{100 * (1 - bits['context'] / bits['order-0']):.1f}" in text
    for kind in ("context", "bitswap"):
        coding = found["coding"]["images a CPU second"][kind]
        assert f"{coding['bits a code']:.2f}" in text
        assert f"{coding['coded']:,}" in text and f"{coding['decoded']:,}" in text


def test_what_a_file_survives() -> None:
    failures, kills, damage = (results(f"faults-{n}") for n in ("failures", "kills", "damage"))
    assert row("docs/results.md", "every write")[1] == f"{failures['failed calls in all']} calls"
    disk = failures["full disk"]
    assert row("docs/results.md", "a full disk")[1] == str(sum(disk.values()))
    assert (
        f"{disk['refused']} refused, {disk['written']} written"
        in row("docs/results.md", "a full disk")[2]
    )
    killed = row("docs/results.md", "SIGKILL")
    ends = {
        end: sum(n for k, n in kills["outcomes"].items() if k.endswith(end))
        for end in (": old", ": new")
    }
    assert killed[1] == f"{kills['runs']:,} runs"
    assert f"the old file {ends[': old']} times, the new one {ends[': new']}" in killed[2]
    staged = results("failures-staged")
    disk = staged["full disk"]
    cells = row("docs/results.md", "every such call of an encode in parts")
    assert cells[1] == f"{staged['failed calls in all']} calls, {sum(disk.values())} disks"
    assert f"{disk['refused']} disks refused, {disk['written']} written" in cells[2]
    assert not staged["faults"]
    staged = results("kills-staged")
    ends = {
        end: sum(n for k, n in staged["outcomes"].items() if k.endswith(end))
        for end in (": old", ": new")
    }
    cells = row("docs/results.md", "the same of an encode in parts")
    assert cells[1] == f"{staged['runs']} runs" and sum(ends.values()) == staged["runs"]
    left = staged["outcomes"]["with parts to go on with"]
    shown = f"old {ends[': old']} times, new {ends[': new']}, none torn. {left} left parts"
    assert cells[2].startswith(shown) and not staged["faults"]
    tried = [
        part["tried"] for part in damage.values() if isinstance(part, dict) and "tried" in part
    ]
    small = sum(tried) - damage["bits sampled in it"]["tried"]
    size = f"a file of {damage['small file, bytes'] / 1000:.0f} kB"
    assert row("docs/results.md", size)[1] == f"{small:,}"
    large = results("faults-damage-large")
    size = f"bits flipped anywhere in a file of {large['large file, bytes'] / 1e6:.1f} MB"
    assert row("docs/results.md", size)[1] == f"{large['bits sampled in it']['tried']:,}"
    for part in (*damage.values(), *large.values()):
        if isinstance(part, dict) and "tried" in part:
            assert not part["missed"] and not part.get("wrong bytes from a lazy read")
    assert row("docs/results.md", "mutants with repaired")[1].startswith(
        f"{results('faults-fuzz')['mutants']:,}"
    )
    large_mutants = results("faults-fuzz-large")
    cells = row("docs/results.md", "mutants of files of 86")
    assert cells[1] == f"{large_mutants['mutants']:,}" and not large_mutants["faults"]
    shares = large_mutants["largest share of the memory allowed"].values()
    assert f"at most {max(shares):.1f} of the memory" in cells[2]
    reads = sum(sum(reader.values()) for reader in results("faults-readers")["outcomes"].values())
    assert row("docs/results.md", "8 readers")[1] == f"{reads:,} reads"


def test_signals() -> None:
    commands = results("faults-signals")["commands"].values()
    outcomes = Counter[str]()
    for command in commands:
        outcomes.update(command["outcomes"])
    started = sum(n for o, n in outcomes.items() if o.endswith("while the interpreter started"))
    interrupted = sum(n for o, n in outcomes.items() if o.endswith(": 130, nothing written"))
    late = sum(n for outcome, n in outcomes.items() if "finished" in outcome)
    cells = row("docs/results.md", "SIGINT and SIGTERM")
    assert cells[1] == f"{outcomes.total():,}" and len(commands) == 11
    assert cells[2].startswith(
        f"{interrupted:,} ended with exit code 130; {started} met Python while it started; {late} "
    )
    assert started + interrupted + late == outcomes.total()


@pytest.mark.parametrize(
    "method", ["ub", "er-webp", "er-jpeg", "drr", "ib-drr", "ib-drr-star", "er", "finetune"]
)
def test_what_a_classifier_makes_of_it(method: str) -> None:
    runs = [results(f"tin20-study/{method}-5phases-seed{seed}/result") for seed in range(3)]
    cells = row("docs/results.md", f"`{method}`", below="What a classifier makes of it")

    def of_newest(figure: str) -> list[float]:
        return [sum(phase[figure] for phase in run["phases"][1:]) / 5 for run in runs]

    for shown, values in (
        (cells[1], [run["average_accuracy"] for run in runs]),
        (cells[2], [run["last_accuracy"] for run in runs]),
        (cells[3], of_newest("new_class_accuracy")),
    ):
        assert shown == f"{mean(values):.1f} ± {stdev(values):.1f} %"
    answers = sum(of_newest("new_class_answers")) / 3
    assert cells[4] == f"{answers:.1f} of {of_newest('new_class_images')[0]:.1f} %"
    assert cells[5] == f"{runs[0]['memory_bytes']['total'] / 1e6:.2f} MB"


# --- what documents point to ---------------------------------------------------------------------


def test_the_readme_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= 120


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", text_of(document))
    place = (ROOT / document).parent
    wrong = [t for t in targets if "://" not in t and not (place / t).exists()]
    assert not wrong, f"{document}: {wrong}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_that_are_named_exist(document: str) -> None:
    named = re.findall(r"`((?:benchmarks|docs|drrpack|scripts|tests)/[\w./-]+)", text_of(document))
    wrong = sorted({path for path in named if not (ROOT / path.rstrip("./")).exists()})
    assert not wrong, f"{document}: {wrong}"


def documented_calls(text: str) -> Iterator[tuple[str, str]]:
    """Command and option, as in ``drrpack encode ... --size``; a line may go on after ``\\``."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.findall(r"\bdrrpack [a-z][^`|;#]*", line):
            command = part.split()[1]
            for option in re.findall(r"(?<=\s)--?[a-zA-Z][a-z-]*", part):
                yield command, option


def offered_options() -> dict[str, set[str]]:
    """The options of each command, as --help shows them."""
    commands: dict[str, Any] = vars(typer.main.get_command(app))["commands"]
    return {
        name: {"--help"}.union(*([*p.opts, *p.secondary_opts] for p in command.params))
        for name, command in commands.items()
    }


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_name_options_that_exist(document: str) -> None:
    offered = offered_options()
    wrong = {
        f"drrpack {command} {option}"
        for command, option in documented_calls(text_of(document))
        if option not in offered.get(command, set())
    }
    assert not wrong, f"{document}: {sorted(wrong)}"


def test_options_are_found_in_a_document() -> None:
    text = "Say `drrpack encode a -o b --size 32`, or\n\n    drrpack train m \\\n      --base 5\n"
    found = [("encode", "-o"), ("encode", "--size"), ("train", "--base")]
    assert list(documented_calls(text)) == found
    assert all(option in offered_options()[command] for command, option in found)


def test_options_in_the_table_of_the_readme_exist() -> None:
    table = [cells[0] for cells in rows(text_of("README.md")) if cells[0].startswith("`--")]
    named = [option for cell in table for option in re.findall(r"--[a-z-]+", cell)]
    assert len(named) >= 8 and set(named) <= offered_options()["encode"]


def test_the_citation_has_the_version() -> None:
    from drrpack import __version__

    assert f"\nversion: {__version__}\n" in text_of("CITATION.cff")
