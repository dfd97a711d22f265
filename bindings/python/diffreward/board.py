"""The board: an evaluation leaderboard in one file, as ``diffreward board`` keeps it (docs/board.md)."""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import tempfile
import tokenize
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from diffreward._plain import plain

Records = list[dict[str, Any]]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A key is for the server that was named."""

    def redirect_request(self, *args: Any) -> None:
        return None


class Board:
    """A leaderboard in one SQLite file: rows are only added, every episode's score is kept, and anyone runs a row again.

    What comes back are plain lists and dictionaries; ``pandas.DataFrame(board.list())`` and
    ``pandas.DataFrame(board.records())`` are tables.

    Args:
        path: a board's file.

    Raises:
        RuntimeError: no file, a truncated or another one, or a board of a newer version; it is left as it is.

    Example:
        >>> import pathlib, tempfile
        >>> board = dr.Board.create(pathlib.Path(tempfile.mkdtemp()) / "board.sqlite")
        >>> for seed in range(2):
        ...     receipt, = board.submit("random", tasks="maze2d/umaze", train_seed=seed)
        >>> receipt["new_entry"], receipt["new_runs"]
        (False, 1)
        >>> [(row["suite"], row["name"], row["runs"], row["checked"]) for row in board.list()]
        [('maze2d', 'random', 2, 'claimed')]
        >>> board.verify("random", tasks="maze2d/umaze")["verified"]
        2
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = pathlib.Path(path)
        self.tasks()  # it is one

    @classmethod
    def create(cls, path: str | os.PathLike[str], *, tasks: str = "builtin") -> Board:
        """Makes a board.

        Args:
            path: where nothing is yet.
            tasks: "builtin" for the project's own, "none" to begin without.

        Raises:
            RuntimeError: there is a file.
        """
        _run("init", {"board": os.fspath(path), "tasks": tasks})
        return cls(path)

    def tasks(self) -> Records:
        """The tasks, with their metric, direction, normalisation and sealed streams."""
        return self._run("tasks")["tasks"]

    def add_task(self, task: Mapping[str, Any]) -> bool:
        """Adds a task; whether it was not there.

        Args:
            task: "name", "norm_low", "norm_high", and as needed "kind", "env", "options", "metric", "direction",
                "stream_pool".

        Raises:
            ValueError: a key or value that is wrong, or another task of this name: tasks never change.
        """
        with tempfile.TemporaryDirectory(prefix="diffreward_task_") as folder:
            file = pathlib.Path(folder) / "task.json"
            file.write_text(json.dumps(plain(task)))
            return self._run("tasks", add=file)["added"] == 1

    def submit(self, source: Any, **options: Any) -> Records:
        """Scores what a stage made on the board's tasks and keeps every episode; a receipt for each method.

        Args:
            source: a stage, or the folder of ``rl``, ``plan``, ``extract`` or of a job, a trained agent's name, a
                scripted agent's, or a file.
            **options: those of ``diffreward board submit``: tasks, name, train_seed, failed, supersedes, note, command,
                keep, threads.

        Raises:
            ValueError: the board has the run with other scores, weights or settings; a row that was retracted.
            RuntimeError: a file that is missing or damaged, or nothing that fits a task.
        """
        return self._run("submit", **{"from": source}, **options)["submitted"]

    def import_scores(self, scores: Mapping[str, Any] | str | os.PathLike[str], *, suite: str = "",
                      tasks: Sequence[str] | None = None, last: int = 1, data: Sequence[str] = (), norm_low: float = 0,
                      norm_high: float = 1) -> Records:
        """Puts score matrices on the board, as rliable has them; such rows cannot be verified.

        Args:
            scores: a method's name to [runs, tasks], or to curves [runs, tasks, points]; not-a-number is a run that
                failed. Or an ``.npz`` file of such arrays.
            suite: that the tasks are put into; "" for the file's name.
            tasks: their names, in order.
            last: of curves, the score is the mean of so many last points.
            data: data sets that the methods learned from, by Minari's ids; the same method on others is another row.
            norm_low: score that counts as 0.
            norm_high: score that counts as 1.

        Raises:
            ValueError: arrays of other axes or of no numbers, an id that Minari does not take.
            RuntimeError: a file that is missing, damaged, of another kind, or of pickled objects, which are not read.
        """
        name = "scores.json"
        if isinstance(scores, (str, os.PathLike)):
            path = pathlib.Path(scores)
            name, suite, scores = path.name, suite or path.stem, _read_npz(path)
        elif not suite:
            raise ValueError("suite: expected a name, got none")
        matrices = {method: _matrix(method, matrix, last) for method, matrix in scores.items()}
        with tempfile.TemporaryDirectory(prefix="diffreward_scores_") as folder:
            file = pathlib.Path(folder) / name  # which the rows tell that they were imported from
            file.write_text(json.dumps(matrices))
            return self.load(file, format="scores", suite=suite, tasks=list(tasks or []), data=list(data),
                             norm_low=norm_low, norm_high=norm_high)

    def load(self, source: str | os.PathLike[str], **options: Any) -> Records:
        """Imports a board's JSON, score matrices, curves (CSV, TensorBoard) or a model card; a receipt for each method.

        Args:
            source: a file, or a folder of TensorBoard's event files.
            **options: those of ``diffreward board import``: format, suite, name, tag, tasks, columns, norm_low, norm_high,
                last, train_seed, data.
        """
        return self._run("import", **{"from": source}, **options)["submitted"]

    def list(self, tasks: str = "", **options: Any) -> Records:
        """A record for each method and suite, best first: value, low, high, tier, best_rank, worst_rank, runs, checked ...

        Args:
            tasks: a suite, or any beginning of tasks' names; "" for all.
            **options: gaps ("norm_low" scores failed and missing runs), superseded, and those of the statistics
                (aggregate, resamples, confidence, ...).
        """
        suites = self._run("list", tasks=tasks, **options)["suites"]
        return [{"suite": suite["suite"], **row} for suite in suites for row in suite["rows"]]

    def records(self, *, episodes: bool = False) -> Records:
        """A record for each run, or for each episode: row, name, task, train_seed, status, score ...; ``None`` where a
        run failed."""
        exported = json.loads(self._run("export", format="json")["text"])
        out = []
        for row, entry in enumerate(exported["entries"], 1):
            for run in entry["runs"]:
                record = {"row": row, "name": entry["name"], "kind": entry["kind"], "entry": entry["hash"],
                          **{key: run[key] for key in ("run", "task", "train_seed", "status", "message", "score", "weights",
                                                       "machine", "command")},
                          "retracted": run["retracted"] or entry["retracted"]}
                if not episodes:
                    out.append({**record, "episodes": run["episode_count"]})
                    continue
                columns = run["episodes"]
                out += [{**record, "stream": stream, "score": score, "steps": steps}
                        for stream, score, steps in zip(columns["stream"], columns["score"], columns["steps"])]
        return out

    def compare(self, first: str | int, second: str | int, tasks: str = "", **options: Any) -> dict[str, Any]:
        """Whether two rows differ: "sentence" says it, "difference" has the interval, "more_runs" what would tell.

        Args:
            first: a row's number, its method's name or the beginning of its hash.
            second: the row to compare with.
            tasks: a suite, or any beginning of tasks' names; "" for all that both have.
            **options: those of ``diffreward board compare``.
        """
        return self._run("compare", first=str(first), second=str(second), tasks=tasks, **options)

    def show(self, row: str | int, *, episodes: bool = False) -> dict[str, Any]:
        """Everything about one row: command, hashes, machines, single runs, verifications."""
        return self._run("show", row=str(row), episodes=episodes)

    def verify(self, row: str | int, **options: Any) -> dict[str, Any]:
        """Runs a row again, and compares every episode; an outcome for each run.

        Args:
            row: its number, its method's name or the beginning of its hash.
            **options: those of ``diffreward board verify``: tasks, files, record, threads.
        """
        return self._run("verify", row=str(row), **options)

    def retract(self, row: str | int, reason: str, *, run: int = 0) -> None:
        """Takes a row back, or one of its runs. It stays, with the reason."""
        self._run("retract", row=str(row), reason=reason, run=run)

    def check(self, head: str = "") -> dict[str, Any]:
        """Walks the chain of hashes: "faults" and "head", the hash to keep; a kept one must still be in the chain."""
        return self._run("check", head=head)

    def export(self, format: str, out: str | os.PathLike[str] | None = None, **options: Any) -> str | None:
        """The board as "json", "csv", "markdown", "card" (of ``row``) or "page": written to ``out``, or returned."""
        return self._run("export", format=format, **({} if out is None else {"out": out}), **options).get("text")

    def push(self, url: str, key: str, *, timeout: float = 60) -> Records:
        """Submits all rows to a board that ``diffreward board serve`` serves; a receipt for each method, as ``load`` gives.

        All of them come, or none; what is there already is not added again.

        Args:
            url: "http://127.0.0.1:8080".
            key: as ``diffreward board keys --add`` showed it.
            timeout: seconds.

        Raises:
            RuntimeError: no answer, or a refusal, with the server's reason.
        """
        body = json.dumps(json.loads(self._run("export", format="json")["text"]), separators=(",", ":")).encode()
        request = urllib.request.Request(
            url.rstrip("/") + "/api/v1/submissions", body, method="POST",
            headers={"Authorization": f"Bearer {key.strip()}", "Content-Type": "application/json"})
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=timeout) as answer:
                return json.load(answer)["submitted"]
        except urllib.error.HTTPError as error:
            with error:
                text = error.read(10_000).decode(errors="replace")
            try:
                text = json.loads(text)["error"]
            except (ValueError, KeyError, TypeError):  # of a proxy, say
                text = error.reason
            raise RuntimeError(f"{url}: refused ({error.code}): {text}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise RuntimeError(f"{url}: expected the answer of a board, found none ({error})") from None

    def _run(self, verb: str, **options: Any) -> Any:
        return _run(verb, {"board": os.fspath(self.path), **options})

    def __repr__(self) -> str:
        return f"Board({os.fspath(self.path)!r})"


_MOST_BYTES = 1 << 30  # of an .npz file's arrays together


def _read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > _MOST_BYTES:
            raise ValueError(f"arrays of at most {_MOST_BYTES} bytes, found {size}")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, MemoryError, NotImplementedError, SyntaxError, RuntimeError,
            zipfile.BadZipFile, zlib.error, tokenize.TokenError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise RuntimeError(f"{path}: expected an .npz file of score matrices: {said}") from error


def _matrix(method: str, scores: Any, last: int) -> list[list[float | None]]:
    """[runs, tasks] of what a method has; ``None`` for a run that failed."""
    rows = np.asarray(scores)
    if rows.dtype.kind not in "fiub":
        raise ValueError(f"scores: expected numbers of {method!r}, got {rows.dtype}")
    if rows.ndim not in (2, 3) or rows.size == 0:
        raise ValueError(f"scores: expected [runs, tasks] or [runs, tasks, points] of {method!r}, got {list(rows.shape)}")
    if last < 1:
        raise ValueError(f"last: expected at least 1, got {last}")
    rows = rows.astype(np.float64)
    if rows.ndim == 3:
        rows = rows[:, :, -last:].mean(axis=2)
    return [[value if np.isfinite(value) else None for value in row] for row in rows.tolist()]


def _run(verb: str, options: Mapping[str, Any]) -> Any:
    from diffreward import _chain  # brings LibTorch in, which takes a second

    config = {name: plain(value) for name, value in options.items() if value is not None}
    progress = config.pop("progress", False)
    return json.loads(_chain.run_command(f"board {verb}", json.dumps(config), progress))
