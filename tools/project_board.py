"""The project's own results as a board: leaderboard/board.json, scored again from committed files, or verified.

usage: python tools/project_board.py make PROGRAM [--readme README.md]
       python tools/project_board.py verify PROGRAM

`make` scores everything again, prints what differs from the file, and writes it where a score does; what says when and by
which commit alone is left as it was, so that a second run changes nothing. `verify` imports the file and runs
`diffreward board verify` of each of its rows; 1 where one came out differently on a machine of the same fingerprint.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
BOARD = ROOT / "leaderboard" / "board.json"
TRAINED = ROOT / "agents" / "trained"
TABLE = "robots"  # that README shows
RANDOM_SEEDS = 3
MAZE = "Maze2D-UMaze-v0"
REWARDS = {"reward": "rho", "discriminator": "discriminator"}  # folder to method


class Program:
    """`diffreward board` on one file."""

    def __init__(self, program: pathlib.Path, board: pathlib.Path) -> None:
        self.program, self.board = program, board

    def __call__(self, verb: str, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """What a verb says; its errors are the caller's."""
        return subprocess.run([self.program, "board", verb, *args, "--quiet"], text=True, check=check,
                              stdout=subprocess.PIPE, cwd=ROOT)

    def on_board(self, verb: str, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self(verb, *args, "--board", str(self.board), check=check)

    def export(self, *args: str) -> str:
        return self("export", str(self.board), *args, "--threads", "1").stdout


def submissions() -> list[list[str]]:
    """The arguments of `board submit`, a list each: seeds of one method are runs of one row."""
    out = []
    for folder in sorted(TRAINED.glob("*-v4/*")):
        quality = folder.name.split("-")[0]
        if quality in ("medium", "expert"):
            out.append([f"{folder.parent.name}/{folder.name}", "--name", quality])
    maze = f"{MAZE}/"
    for folder in sorted((TRAINED / MAZE).iterdir()):
        method = folder.name.split("-")[0]
        if method in REWARDS:
            out.append([maze + folder.name, "--name", REWARDS[method], "--tasks", "rewards/umaze"])
    out.append([maze + "planner", "--name", "planner"])
    for seed in range(RANDOM_SEEDS):
        for suite in ("robots", "maze2d"):
            out.append(["random", "--tasks", suite, "--train-seed", str(seed)])
    out.append(["waypoints", "--tasks", "maze2d"])
    return out


def scored(program: Program) -> str:
    """Everything, scored now, as the board exports it."""
    program("init", str(program.board))
    for args in submissions():
        print("scoring", " ".join(args), flush=True)
        program.on_board("submit", *args, "--threads", "1")
    return program.export("--format", "json")


def runs_of(board: dict) -> dict[str, dict]:
    """What decides of each run: its scores and what they were made from."""
    return {f"{entry['name']} ({entry['kind']}), {run['task']}, seed {run['train_seed']}":
            {key: run[key] for key in ("status", "score", "weights", "machine", "config", "inputs", "episodes")}
            for entry in board["entries"] for run in entry["runs"]}


def differences(before: dict, after: dict) -> list[str]:
    """A line for each run that is new, gone or another, and for tasks that changed."""
    lines = []
    tasks = [{task["name"]: task for task in board.get("tasks", [])} for board in (before, after)]
    for name in sorted(tasks[0].keys() | tasks[1].keys()):
        if tasks[0].get(name) != tasks[1].get(name):
            lines.append(f"task {name}: " + ("new" if name not in tasks[0] else "gone" if name not in tasks[1] else "changed"))
    old, new = runs_of(before) if before else {}, runs_of(after)
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            lines.append(f"{name}: {'new' if name in new else 'gone'}")
        elif old[name] != new[name]:
            others = [key for key in old[name] if old[name][key] != new[name][key]]
            lines.append(f"{name}: {', '.join(others)} differ; score {old[name]['score']} -> {new[name]['score']}")
    return lines


def put_table(page: pathlib.Path, table: str) -> None:
    """Between the lines <!-- leaderboard:begin --> and <!-- leaderboard:end -->."""
    begin, end = "<!-- leaderboard:begin -->\n", "<!-- leaderboard:end -->"
    before, rest = page.read_text().split(begin)
    text = before + begin + table + end + rest.split(end)[1]
    if text != page.read_text():
        page.write_text(text)


def make(program: Program, readme: pathlib.Path | None) -> int:
    text = scored(program)
    known = json.loads(BOARD.read_text()) if BOARD.exists() else {}
    changed = differences(known, json.loads(text))
    print("\n".join(changed) if changed else f"{BOARD.relative_to(ROOT)}: nothing differs")
    if changed:
        BOARD.write_text(text)
    if readme:
        imported = Program(program.program, program.board.with_name("imported.sqlite"))
        imported("init", str(imported.board), "--tasks", "none")
        imported.on_board("import", str(BOARD))
        put_table(readme, imported.export("--format", "markdown", "--tasks", TABLE))
    return 0


def verify(program: Program) -> int:
    program("init", str(program.board), "--tasks", "none")
    program.on_board("import", str(BOARD))
    failed = 0
    for row, entry in enumerate(json.loads(BOARD.read_text())["entries"], 1):
        print(f"row {row}, {entry['name']}", flush=True)
        told = program.on_board("verify", str(row), "--files", str(TRAINED), "--threads", "1", check=False)
        print(told.stdout, end="", flush=True)
        failed += told.returncode != 0
    print(f"{failed} rows came out differently" if failed else "no row came out differently")
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["make", "verify"])
    parser.add_argument("program", type=pathlib.Path, help="build/release/cli/diffreward")
    parser.add_argument("--readme", type=pathlib.Path, help="page whose table is replaced")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="diffreward_board_") as folder:
        program = Program(args.program.resolve(), pathlib.Path(folder) / "board.sqlite")
        return make(program, args.readme) if args.task == "make" else verify(program)


if __name__ == "__main__":
    sys.exit(main())
