"""Commands that are ended in the middle: by Ctrl-C within a second, in one line and without leftovers; by SIGKILL with
nothing lost that the next run does not mend.

usage: ends_test.py DIFFREWARD_PROGRAM
"""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PROGRAM = sys.argv[1]
SCALE = float(os.environ.get("DIFFREWARD_TOLERANCE_SCALE", 1))
PATIENCE = 2.5 * SCALE  # seconds to end: one is promised, and machines are shared
random.seed(7)


def start(*args):
    return subprocess.Popen([PROGRAM, *args, "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(*args):
    process = start(*args)
    out, err = process.communicate()
    assert process.returncode == 0, (args, err)
    return out


def leftovers(folder: pathlib.Path):
    return [path for path in folder.rglob("*.tmp")]


def long_commands(demo: pathlib.Path, out: str):
    """Each would run for minutes."""
    base_data, expert_data = f"--base-data={demo}/base_data", f"--expert-data={demo}/expert_data"
    yield ["generate", "--steps", "200000000", "--out", out]
    yield ["train", "--data", f"{demo}/base_data", "--steps", "10000000", "--out", out]
    yield ["extract", "--expert", f"{demo}/expert_model", "--base", f"{demo}/base_model", expert_data, base_data,
           "--steps", "10000000", "--out", out]
    yield ["rl", "--env-steps", "1000000000", "--out", out]
    yield ["steer", "--base", f"{demo}/base_steered_model", "--expert", f"{demo}/expert_steered_model", "--reward",
           f"{demo}/guide", base_data, expert_data, "--samples", "1000000", "--out", out]
    yield ["plan", "--model", f"{demo}/expert_steered_model", "--episodes", "1000000", "--out", out]
    yield ["evaluate", "--rewards", f"{demo}/reward", f"--expert-data={demo}/expert_test", f"--base-data={demo}/base_test",
           "--resamples", "100000", "--per-cell", "200", "--out", out]


def the_interrupt_is_obeyed(args, folder):
    process = start(*args)
    while not list(folder.glob(f"{pathlib.Path(args[-1]).name}/**/unfinished")) and process.poll() is None:
        time.sleep(0.02)  # loading the libraries
    time.sleep(random.uniform(0.2, 2))
    if process.poll() is not None:
        raise AssertionError(f"expected a run of minutes, found it ended: {args} {process.communicate()}")
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    out, err = process.communicate()
    seconds = time.monotonic() - sent
    assert seconds < PATIENCE, f"{args[0]}: expected to end within {PATIENCE} s, found {seconds:.1f}"
    assert process.returncode == 1 and "interrupted" in err, (args, process.returncode, err)
    assert err.strip().count("\n") == 0, err
    assert not leftovers(folder), leftovers(folder)
    print(f"{args[0]}: ended {seconds:.2f} s after Ctrl-C")


def killable_commands(demo: pathlib.Path):
    """Some seconds each, and the product that tells them apart."""
    yield ["train", "--data", f"{demo}/base_data", "--dim", "16", "--layers", "1", "--horizon", "4", "--stride", "1",
           "--steps", "3000", "--checkpoint-every", "50"], "model.safetensors"
    robot = ["rl", "--env", "HalfCheetah-v5", "--threads", "1", "--episodes", "2", "--episode-steps", "100", "--evaluate-every",
             "500", "--evaluate-episodes", "2", "--keep", "best"]
    yield [*robot, "--algorithm", "sac", "--hidden", "32,32", "--batch", "32", "--count", "4", "--env-steps", "4000",
           "--learning-starts", "400", "--report-every", "100", "--checkpoint-every", "200"], "agent.safetensors"
    yield [*robot, "--algorithm", "ppo", "--count", "8", "--decisions", "20", "--lr-schedule", "adaptive", "--env-steps",
           "24000", "--checkpoint-every", "320"], "agent.safetensors"


def a_killed_run_comes_through(args, product, root):
    """Killed again and again, a stage ends equal to one that was left alone."""
    killed_at, whole_at = root / f"killed_{args[0]}_{product}", root / f"whole_{args[0]}_{product}"
    kills, early = 0, None
    for _ in range(12):
        process = start(*args, "--reuse", "--out", str(killed_at))
        try:
            process.communicate(timeout=random.uniform(0.4, 1.2))
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            if (killed_at / product).exists():  # it was killed as it ended
                early = (killed_at / product).read_bytes()
                break
    finish(*args, "--reuse", "--out", str(killed_at))
    finish(*args, "--reuse", "--out", str(whole_at))
    assert kills > 0
    assert early in (None, (killed_at / product).read_bytes()), "a half-written product"
    for name in [product, "config.toml", "metrics.jsonl"]:
        killed, whole = ((run / name).read_bytes() for run in (killed_at, whole_at))
        if name == "metrics.jsonl":  # times and speeds differ
            killed, whole = ([{k: v for k, v in json.loads(line).items() if k not in ("time", "steps_per_second")}
                              for line in text.splitlines()] for text in (killed, whole))
            assert killed == whole, name
            continue
        assert killed.replace(b"killed_", b"whole_") == whole, name
    assert not leftovers(root) and not (killed_at / "unfinished").exists()
    shutil.rmtree(killed_at), shutil.rmtree(whole_at)
    print(f"{' '.join(args[:5])}: killed {kills} times, equal to a run that was not")


def temporary_files_of_killed_writers_go(demo, root):
    target = root / "copy.hdf5"
    data = f"{demo}/base_data/data.hdf5"
    stale = root / "copy.hdf5.99999.0.tmp"
    stale.write_bytes(b"half")
    finish("data", "convert", data, "--out", str(target))
    assert target.exists() and not leftovers(root)


with tempfile.TemporaryDirectory() as name:
    root = pathlib.Path(name)
    demo = root / "demo"
    finish("run", "maze2d-tiny", "--out", str(demo))
    for index, command in enumerate(long_commands(demo, str(root / "out"))):
        command[-1] += str(index)
        the_interrupt_is_obeyed(command, root)
    the_interrupt_is_obeyed(["run", "maze2d-umaze", "--out", str(root / "second_demo")], root)
    for command, product in killable_commands(demo):
        a_killed_run_comes_through(command, product, root)
    temporary_files_of_killed_writers_go(demo, root)
