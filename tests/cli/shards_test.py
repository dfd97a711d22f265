"""Shards made by processes as a scheduler treats them: started in any order, twice, killed by SIGKILL, on a machine whose
processor looks like another; and run by GNU parallel where it is installed.

usage: shards_test.py DIFFREWARD_PROGRAM
"""
import hashlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

PROGRAM = sys.argv[1]
SHARDS = 8
SIZE = ["--steps", "160000", "--count", "64", "--episode-steps", "250"]
# What glibc 2.33 and later call the features, and did before.
MASKED = {**os.environ, "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX2_Usable,-FMA_Usable,-AVX512F,-FMA4"}
random.seed(11)


def start(*args, env=None):
    return subprocess.Popen([PROGRAM, *args, "--quiet", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=env)


def finish(*args, code=0, env=None):
    process = start(*args, env=env)
    out, err = process.communicate()
    assert process.returncode == code, (args, process.returncode, err)
    return json.loads(out) if out else err


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def merged(plan, root):
    shutil.rmtree(root / "merged", ignore_errors=True)
    finish("shard", "merge", str(plan), "--out", str(root / "merged"))
    return sha256(root / "merged/data.hdf5")


def killed_runs_come_through(root, whole):
    plan = root / "killed"
    finish("shard", "plan", "--out", str(plan), "--shards", str(SHARDS), *SIZE)
    one = time.monotonic()
    finish("shard", "run", str(plan), "--index", "0")
    one = time.monotonic() - one
    shutil.rmtree(plan / "shards")
    kills = runs = 0
    queue = list(range(SHARDS)) * 2  # everything twice
    random.shuffle(queue)
    while queue:
        index = queue.pop()
        process = start("shard", "run", str(plan), "--index", str(index), "--again", "--threads", str(random.choice([1, 2])))
        runs += 1
        if random.random() < 0.3:
            try:
                process.communicate(timeout=random.uniform(0.3, 1) * one)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
                queue.insert(0, index)  # the scheduler runs it again
                continue
        out, err = process.communicate() if process.stdout and not process.stdout.closed else ("", "")
        assert process.returncode == 0, err
    assert kills > 0
    assert finish("shard", "verify", str(plan))["whole"] == SHARDS
    assert merged(plan, root) == whole
    assert finish("shard", "status", str(plan))["attempts"] == 0
    print(f"{runs} runs of {SHARDS} shards, {kills} killed: the bytes of one run")


def another_arithmetic_is_refused(root):
    robot = ["--env", "HalfCheetah-v4", "--policy", "random", "--steps", "1600", "--count", "16", "--episode-steps", "100"]
    plan = root / "first"
    finish("shard", "plan", "--out", str(plan), "--shards", "4", *robot)
    here = finish("shard", "run", str(plan), "--index", "0")["fingerprint"]
    mixed = root / "any"
    finish("shard", "plan", "--out", str(mixed), "--shards", "4", "--fingerprints", "any", *robot)
    finish("shard", "run", str(mixed), "--index", "0-2")
    if finish("shard", "run", str(mixed), "--index", "3", env=MASKED)["fingerprint"] == here:
        print("this processor has no features to hide: left out")
        return
    error = finish("shard", "run", str(plan), "--index", "1", code=1, env=MASKED)
    assert "expected a machine of this arithmetic" in error and "libm" in error and "features" in error, error
    assert not (plan / "shards/0/shard-1.json").exists()
    assert finish("shard", "run", str(plan), "--index", "1")["made"] == 1

    # Where it is allowed the data are mixed, and a shard that comes out differently is found.
    assert finish("shard", "verify", str(mixed))["fingerprints"] == 2
    finish("shard", "merge", str(mixed), "--out", str(root / "mixed"))
    error = finish("shard", "run", str(mixed), "--index", "3", "--again", code=1)
    assert "expected equal bytes of two attempts at shard 3" in error, error
    assert len(finish("shard", "status", str(mixed))["quarantined"]) == 3
    print("a processor without FMA and AVX2 makes other bytes, and is refused")


def gnu_parallel_runs_a_plan(root, whole):
    if shutil.which("parallel") is None:
        print("GNU parallel is not installed: left out")
        return
    plan, script = root / "parallel", pathlib.Path(__file__).parents[2] / "deploy/parallel/run.sh"
    finish("shard", "plan", "--out", str(plan), "--shards", str(SHARDS), *SIZE)
    subprocess.run([script, plan], check=True, env={**os.environ, "DIFFREWARD": PROGRAM, "JOBS": "2"},
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert merged(plan, root) == whole
    print("GNU parallel: the bytes of one run")


with tempfile.TemporaryDirectory() as name:
    root = pathlib.Path(name)
    finish("generate", "--out", str(root / "whole"), *SIZE)
    whole = sha256(root / "whole/data.hdf5")
    killed_runs_come_through(root, whole)
    another_arithmetic_is_refused(root)
    gnu_parallel_runs_a_plan(root, whole)
