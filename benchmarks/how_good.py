"""Write the README's section "How good" from the results in benchmarks/results.

    python benchmarks/how_good.py            # prints the section
    python benchmarks/how_good.py --write    # puts it between the README's markers

Each file in benchmarks/results ends with the last line that a benchmark printed.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hubdistill import atomic

OPEN, CLOSE = "<!-- how-good -->", "<!-- /how-good -->"
RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parents[1] / "README.md"

Line = Mapping[str, Any]

QUALITY = {
    "stsb_test": "STS-B test",
    "cranfield": "Cranfield",
    "cisi": "CISI",
    "overlap": "Overlap@10",
}
LEGEND = (
    "STS-B is Spearman's correlation, Cranfield and CISI are nDCG@10, overlap@10 is the share of the "
    "teacher's ten nearest held-out texts that a student finds; these texts differ between runs, so it "
    "compares within one table only."
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="put the section into the README")
    parser.add_argument("--results", type=Path, default=RESULTS, help="default: benchmarks/results")
    parser.add_argument("--readme", type=Path, default=README, help="default: README.md")
    options = parser.parse_args()
    section = how_good(read_results(options.results))
    if options.write:
        atomic.write_text(
            options.readme, put(options.readme.read_text(encoding="utf-8"), section, options.readme)
        )
    else:
        print(section, end="")


def read_results(folder: Path) -> list[Line]:
    """The results: of each file its last line that is not empty."""
    found = [_read_result(path) for path in sorted(folder.glob("*.json"))]
    if not found:
        raise SystemExit(f"no results in {folder}; see benchmarks/README.md")
    return found


def _read_result(path: Path) -> Line:
    try:
        line: Line = json.loads(path.read_text(encoding="utf-8").strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise SystemExit(
            f"{path} does not end with a benchmark's line of JSON; run the benchmark again, or remove the "
            "file (see benchmarks/README.md)"
        ) from None
    return line


def put(readme: str, section: str, name: Path) -> str:
    """The README with the section between its markers."""
    before, opened, rest = readme.partition(OPEN)
    _, closed, after = rest.partition(CLOSE)
    if not opened or not closed:
        raise SystemExit(f"{name} needs {OPEN} and {CLOSE}, each on a line of its own")
    return f"{before}{OPEN}\n{section}{CLOSE}{after}"


def how_good(results: Sequence[Line]) -> str:
    """Markdown between the markers; what was not measured is left out."""
    writers = {
        "static_vs_model2vec": static_part,
        "layers_vs_sentence_transformers": layers_part,
        "layers_vs_distil_trainer": layers_part,
        "teacher_pass": teacher_part,
        "labels": labels_part,
    }
    parts = [
        "Each table comes from one run in which both sides had the same texts, teacher and machine, in turn. "
        f"These are runs on {_devices(results)} with a small corpus of short English texts: they compare, "
        "and they are no leaderboard. " + LEGEND
    ]
    for benchmark, write in writers.items():
        of_it = [line for line in results if line["benchmark"] == benchmark]
        for line in sorted(of_it, key=lambda line: line["texts"]):
            parts += write(line)
    parts.append("[benchmarks/](benchmarks) says how each was measured, and repeats it.")
    return "\n\n".join(parts) + "\n"


def _devices(results: Sequence[Line]) -> str:
    on_cpu = all(line["machine"].endswith("device cpu") for line in results)
    return "a CPU" if on_cpu else "the machines named below"


def static_part(line: Line) -> list[str]:
    columns = {
        "student": "Static student",
        "dimensions": "Dimensions",
        **QUALITY,
        "teacher_seconds": "Teacher seconds",
        "seconds": "Seconds",
        "texts_per_second": "Texts/s",
    }
    estimate = line.get("teacher_estimate")
    estimated = f" hubdistill's teacher seconds are an estimate, {estimate}." if estimate else ""
    few = (
        " tokenlearn had these texts; by default its command takes a million."
        if any(row["student"] == "tokenlearn" for row in line["results"])
        else ""
    )
    return [
        f"**Static students**, {line['texts']:,} texts. Seconds are those of the student's making; the pass "
        "of the teacher over the texts, which model2vec does without, has a column of its own. Texts/s is "
        f"how fast the student encodes.{estimated}{few}",
        table([_with_teacher(row, estimated=bool(estimate)) for row in line["results"]], columns),
        where(line),
    ]


def layers_part(line: Line) -> list[str]:
    columns = {
        "student": "Student",
        "texts": "Texts",
        **QUALITY,
        "teacher_seconds": "Teacher seconds",
        "seconds": "Training seconds",
    }
    passes: dict[str, list[float]] = {}
    for run in line.get("runs", ()):
        passes.setdefault(run["student"], []).append(run["teacher_seconds"])
    rows = [
        {**row, "teacher_seconds": statistics.mean(passes[row["student"]])}
        if row["student"] in passes
        else row
        for row in line["results"]
    ]
    many = len(line["seeds"]) > 1
    figures = f"Means over the seeds {', '.join(map(str, line['seeds']))}" if many else "One seed"
    spreads = (
        ["overlap@10 from " + "; ".join(_spread(row) for row in line["results"] if "spread" in row) + "."]
        if many
        else []
    )
    return [
        f"**{line['layers']} layers kept**, against {_peer(line)}: once with its texts and once with its "
        "seconds of training, which leave out the teacher's pass over the texts. "
        f"{_ratios(line)}. " + "; ".join([figures, *spreads]) + ("" if spreads else "."),
        table(rows, columns),
        where(line),
    ]


def teacher_part(line: Line) -> list[str]:
    columns = {
        "pass": "Teacher pass",
        "precision": "Precision",
        "texts_per_second": "Texts/s",
        "cosine_min": "Min cosine",
        "cosine_mean": "Mean cosine",
    }
    ratios = ", ".join(f"{ratio:.2f}x ({name})" for name, ratio in line["same_precision"].items())
    return [
        f"**The teacher pass**, {line['texts']:,} texts, against `SentenceTransformer.encode` with the "
        f"faster of its batch sizes: {line['ratio']:.2f}x as fast as each comes (ours {line['precision']}, "
        f"`encode` float32); in the same precision {ratios}. Cosines are to `encode` in float32.",
        table(line["results"], columns),
        where(line),
    ]


def labels_part(line: Line) -> list[str]:
    columns = {
        "labels": "Teacher vectors",
        "dimensions": "Dimensions",
        "milliseconds": "ms a batch of 64",
        "gigabytes": "GB a million texts",
    }
    return [
        f"**Labels**, {line['texts']:,} rows of random unit vectors, read in random order: the embedding "
        "cache, which keeps float16, and a `label` column of a data set.",
        table(line["results"], columns),
        where(line),
    ]


def table(rows: Sequence[Line], columns: Mapping[str, str]) -> str:
    """A Markdown table; the first column is text, the others numbers."""
    head = ["| " + " | ".join(columns.values()) + " |", "| :-- " + "| --: " * (len(columns) - 1) + "|"]
    return "\n".join(
        head + ["| " + " | ".join(_cell(key, row.get(key)) for key in columns) + " |" for row in rows]
    )


def where(line: Line) -> str:
    """What a figure depends on besides the code."""
    versions = ", ".join(
        f"{name} {number}"
        for name, number in line["versions"].items()
        if name in ("python", "torch", "sentence-transformers") or name.startswith("peer ")
    )
    threads = "1 thread" if line["threads"] == 1 else f"{line['threads']} threads"
    return f"<sub>{line['machine']}, {threads}; seed {line['seed']}; {versions}.</sub>"


def _with_teacher(row: Line, *, estimated: bool) -> Line:
    """A static student's row with the seconds of the teacher's pass: none over no texts."""
    if row.get("texts") == 0:
        return {**row, "teacher_seconds": 0}
    if estimated and row["student"].startswith("hubdistill") and "teacher_seconds" in row:
        return {**row, "teacher_seconds": f"about {_cell('seconds', row['teacher_seconds'])}"}
    return row


def _peer(line: Line) -> str:
    """The first of the peer's students."""
    names: list[str] = [row["student"] for row in line["results"][1:]]
    return next(name for name in names if not name.startswith("hubdistill"))


def _ratios(line: Line) -> str:
    """How many times as long the peer trains as ours on the same texts, also in our precision if it did."""
    seconds = {row["student"]: row["seconds"] for row in line["results"][1:]}
    ours = {
        "as ours with the search for layers": seconds["hubdistill, equal texts"],
        "as ours with the same layers and no search": seconds.get("hubdistill, the peer's layers"),
    }

    def times(peer: str) -> str:
        return " and ".join(
            f"{seconds[peer] / took:.1f} times as long {name}" for name, took in ours.items() if took
        )

    theirs, precision = _peer(line), line["precision"]
    same = f"{theirs}, {precision}"
    also = f"; in {precision} too, {times(same)}" if same in seconds else ""
    return f"On the same texts it trains {times(theirs)} (ours {precision}, its float32){also}"


def _spread(row: Line) -> str:
    low, high = row["spread"]["overlap"]
    return f"{low:.3f} to {high:.3f} ({row['student']})"


def _cell(key: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if key in ("dimensions", "texts", "texts_per_second"):
        return f"{value:,.0f}"
    if key in ("seconds", "teacher_seconds"):
        return f"{value:,.0f}" if value >= 10 or not value else f"{value:.1f}"
    if key in ("milliseconds", "gigabytes"):
        return f"{value:.2f}"
    return f"{value:.5f}" if key.startswith("cosine") else f"{value:.4f}"


if __name__ == "__main__":
    main()
