"""Reads the event file that `diffreward` writes with TensorBoard's own package. Skipped (77) where it is not installed.

usage: tensorboard_reference.py PROBE

PROBE is called with a metrics.jsonl and a folder.
"""
import json
import math
import pathlib
import subprocess
import sys
import tempfile

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError:
    print("tensorboard is not installed")
    sys.exit(77)

LINES = [{"step": 10 * i, "loss": 1 / (i + 1), "held_out_loss": 2 / (i + 1), "time": 1.7e9 + i} for i in range(200)]

with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    subprocess.run([sys.argv[1], str(folder / "metrics.jsonl"), str(folder / "events")], check=True)
    events = EventAccumulator(str(folder / "events")).Reload()
    assert sorted(events.Tags()["scalars"]) == ["held_out_loss", "loss"], events.Tags()
    for tag in ("loss", "held_out_loss"):
        for found, expected in zip(events.Scalars(tag), LINES, strict=True):
            assert found.step == expected["step"] and found.wall_time == expected["time"], found
            assert math.isclose(found.value, expected[tag], rel_tol=1e-6), found
    print("TensorBoard reads", len(LINES), "steps")
