"""What the comparisons share: the results files (leaderboard/results.h reads them, too) and tables made from them."""

from __future__ import annotations

import importlib.metadata
import json
import os
import pathlib
import subprocess

Figure = tuple[str, float, str, str, str]  # name, value, unit, bar, note


def load(path: pathlib.Path) -> dict[str, dict]:
    """The file's results by name; none when there is no file."""
    return {result["name"]: result for result in (json.loads(path.read_text()) if path.exists() else [])}


def program_commit(build: pathlib.Path) -> str:
    """The commit that a build folder's programs were made from, to be asked before measuring: the folder may change."""
    said = subprocess.run([build / "cli" / "diffreward", "--version"], capture_output=True, text=True, check=True).stdout
    return said.split("(")[1].split(")")[0]


def save(path: pathlib.Path, figures: list[Figure], command: str, packages: tuple[str, ...], commit: str) -> None:
    """Puts figures of a program of this commit among those of the results file; of equal names the new ones stay."""
    models = [line for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    common = {
        "command": command,
        "commit": commit,
        "machine": f"{models[0].split(': ')[1] if models else 'unknown processor'}, {os.cpu_count()} cores",
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }
    results = load(path)
    for name, value, unit, bar, note in figures:
        results[name] = {"name": name, "value": value, "unit": unit, "bar": bar, **common, "note": note}
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps([results[name] for name in sorted(results)], indent=2) + "\n")
    temporary.replace(path)


def number(value: float) -> str:
    """Three significant digits, thousands grouped."""
    digits = f"{value:.3g}"
    return f"{float(digits):,.0f}" if "e" in digits or abs(value) >= 1000 else digits


def reached(result: dict) -> bool:
    """Whether a result reaches its bar; also where it has none."""
    if not result["bar"]:
        return True
    sign, bar = result["bar"].split()
    return result["value"] >= float(bar) if sign == ">=" else result["value"] <= float(bar)


def cell(results: dict[str, dict], name: str) -> str:
    """A result in a table: bold where it misses its bar, empty where there is none."""
    if name not in results:
        return ""
    text = number(results[name]["value"])
    return text if reached(results[name]) else f"**{text}**"


def replace_table(path: pathlib.Path, marker: str, table: list[list[str]]) -> None:
    """Puts a table, its first row the header, between the lines <!-- MARKER:begin --> and <!-- MARKER:end -->."""
    rows = ["| " + " | ".join(row) + " |" for row in table]
    rows.insert(1, "|---" * len(table[0]) + "|")
    begin, end = f"<!-- {marker}:begin -->\n", f"<!-- {marker}:end -->"
    text = path.read_text()
    before, rest = text.split(begin)
    after = rest.split(end)[1]
    path.write_text(before + begin + "\n".join(rows) + "\n" + end + after)
