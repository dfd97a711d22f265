"""A sweep made by processes as a scheduler treats them: several at once on indices that share stages, killed by SIGKILL in the
middle and run again; each index must have the bytes of `diffreward run`.

usage: sweeps_test.py DIFFREWARD_PROGRAM
"""
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time

PROGRAM = sys.argv[1]
JOB = """
seed = 0
[[steps]]
name = "base"
command = "generate"
steps = 20000
count = 16
[[steps]]
name = "walks"
command = "generate"
env = { id = "Maze2D-UMaze-v0", options = { goal_cell = [1, 1] } }
steps = 20000
count = 8
seed = "${seed}"
[[steps]]
name = "model"
command = "train"
data = "base"
model = { horizon = 4, stride = 1, dim = 16, layers = 1 }
steps = 60
batch = 16
checkpoint_every = 20
seed = "${seed}"
[[figures]]
name = "reward per step"
value = "walks.reward_per_step"
[[figures]]
name = "loss"
value = "model.training.last.loss"
"""
TASKS = 3
random.seed(5)


def start(*args):
    return subprocess.Popen([PROGRAM, *args, "--quiet", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    out, err = process.communicate()
    assert process.returncode == 0, err
    return json.loads(out)


def killed_tasks_come_through(root):
    sweep = root / "sweep"
    planned = finish(start("sweep", "plan", str(root / "job.toml"), "--over", "model.lr=1e-3,2e-3", "--over", "seed=0..1", "--out",
                           str(sweep)))
    assert planned["indices"] == 4 and planned["stages"] == 1 + 2 + 4, planned
    kills = rounds = 0
    while True:
        rounds += 1
        assert rounds < 40, "no progress"
        tasks = [start("sweep", "run", str(sweep), "--task", str(task), "--tasks", str(TASKS), "--threads", "1") for task in range(TASKS)]
        if rounds < 6:  # a victim each round
            time.sleep(random.uniform(0.05, 1.0))
            victim = random.choice(tasks)
            if victim.poll() is None:
                victim.kill()
                kills += 1
        for task in tasks:
            out, err = task.communicate()
            assert task.returncode in (0, -9), err
        status = finish(start("sweep", "status", str(sweep)))
        print(f"round {rounds}: {status['done']} of {status['indices']} indices, {status['stages_done']} of {status['stages']} stages", flush=True)
        assert not status["failed"] and not status["quarantined"], status
        if status["complete"] and kills >= 2:
            break
        if status["complete"]:  # too quick: once more from the beginning
            for folder in ("runs", "stages"):
                subprocess.run(["rm", "-r", str(sweep / folder)], check=True)
    assert status["attempts"] == 0, status
    for index, (rate, seed) in enumerate([("1e-3", 0), ("1e-3", 1), ("2e-3", 0), ("2e-3", 1)]):
        one = root / f"one{index}"
        finish(start("run", str(root / "job.toml"), "--set", f"model.lr={rate}", "--set", f"seed={seed}", "--out", str(one)))
        for name in ("results.json", "base/data.hdf5", "walks/data.hdf5", "model/model.safetensors"):
            assert (one / name).read_bytes() == (sweep / "runs" / str(index) / name).read_bytes(), (index, name)
    table = finish(start("sweep", "collect", str(sweep)))
    assert table["rows"] == 2 and table["runs"] == 4, table
    print(f"{TASKS} tasks at once, {kills} killed in {rounds} rounds: the bytes of one run of each setting")


with tempfile.TemporaryDirectory() as name:
    root = pathlib.Path(name)
    (root / "job.toml").write_text(JOB)
    killed_tasks_come_through(root)
