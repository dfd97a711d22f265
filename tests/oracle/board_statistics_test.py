"""The board's statistics against rliable (Agarwal et al. 2021): aggregates, probability of improvement and profiles within
1e-12, percentile intervals within their Monte-Carlo error. Skipped (77) without rliable: pip install rliable==1.2.0 "pandas<3"

usage: board_statistics_test.py PROBE
"""
from __future__ import annotations

import json
import subprocess
import sys

import numpy as np

try:
    from rliable import library, metrics
except ImportError:
    print("skipped: rliable is not installed (pip install rliable==1.2.0 'pandas<3')")
    sys.exit(77)

PROBE = sys.argv[1]
TOLERANCE = 1e-12
THRESHOLDS = [-0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 3.0]


def cases() -> list[dict]:
    rng = np.random.default_rng(0)
    out = []
    for tasks in [1, 2, 3, 6, 20]:
        for runs in [1, 2, 3, 4, 5, 7, 10, 20]:
            for kind in ["normal", "ties", "large"]:
                a, b = rng.normal(size=(2, runs, tasks)) * 0.4 + 0.5  # rliable has runs first
                if kind == "ties":  # success rates of four episodes
                    a, b = np.clip(np.round([4 * a, 4 * b]) / 4, 0, 1)
                if kind == "large":
                    a, b = 1e3 * a, 1e3 * b
                scale = 1e3 if kind == "large" else 1
                case = {"a": a.T.tolist(), "b": b[: max(1, runs - 1)].T.tolist(), "target": 0.9 * scale,
                        "thresholds": (np.array(THRESHOLDS) * scale).tolist()}  # fmt: skip
                if kind == "normal" and (tasks, runs) in [(1, 10), (6, 5), (20, 10)]:
                    case["resamples"] = 20000
                out.append(case)
    return out


def expected(case: dict) -> dict:
    a, b = np.array(case["a"]).T, np.array(case["b"]).T
    profile, _ = library.create_performance_profile({"a": a}, np.array(case["thresholds"]), reps=10)
    return {
        "iqm": metrics.aggregate_iqm(a),
        "mean": metrics.aggregate_mean(a),
        "median": metrics.aggregate_median(a),
        "optimality_gap": metrics.aggregate_optimality_gap(a, case["target"]),
        "improvement": metrics.probability_of_improvement(a, b),
        "profile": profile["a"],
    }


def intervals(case: dict) -> dict:
    a, b = np.array(case["a"]).T, np.array(case["b"]).T
    reps = case["resamples"]
    _, iqm = library.get_interval_estimates({"a": a}, lambda x: np.array([metrics.aggregate_iqm(x)]), reps=reps)
    _, won = library.get_interval_estimates(
        {"a": (a, b)}, lambda x, y: np.array([metrics.probability_of_improvement(x, y)]), reps=reps // 10
    )
    return {"iqm_percentile": iqm["a"][:, 0], "improvement_percentile": won["a"][:, 0]}


def main() -> int:
    asked = cases()
    said = subprocess.run([PROBE], input="".join(json.dumps(case) + "\n" for case in asked), capture_output=True, text=True)
    if said.returncode != 0:
        sys.exit(said.stderr)
    found = [json.loads(line) for line in said.stdout.splitlines()]
    wrong, largest, widest = len(found) != len(asked), 0.0, 0.0
    for case, ours in zip(asked, found):
        shape = f"{len(case['a'])} tasks, {len(case['a'][0])} runs"
        for name, value in expected(case).items():
            scale = max(1.0, float(np.max(np.abs(value))))
            error = float(np.max(np.abs(np.array(ours[name]) - value))) / scale
            largest = max(largest, error)
            if not error <= TOLERANCE:
                print(f"{name}, {shape}: expected {value}, found {ours[name]}")
                wrong = True
        if "resamples" in case:
            for name, bounds in intervals(case).items():
                width = bounds[1] - bounds[0]
                error = max(abs(ours[name]["low"] - bounds[0]), abs(ours[name]["high"] - bounds[1])) / width
                widest = max(widest, error)
                if not error <= 0.08:  # five standard errors of 2,000 draws
                    print(f"{name}, {shape}: expected {bounds}, found {ours[name]}")
                    wrong = True
    print(f"{len(found)} cases: values differ by {largest:.1e} at most, percentile intervals by {widest:.3f} of their width")
    return int(wrong)


sys.exit(main())
