"""One training by one, two and three processes of the real program: the same bytes, whoever computes what; a killed rank, another
number of ranks to go on with, ranks that do not belong together, and what a launcher forgot.

usage: ranks_test.py DIFFREWARD_PROGRAM [torchrun]
"""
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PROGRAM = sys.argv[1]
TORCHRUN = sys.argv[2] if len(sys.argv) > 2 else None
PARTS = "6"
MODEL = ["--horizon", "8", "--stride", "2", "--dim", "32", "--dim-mults", "1,2", "--layers", "1", "--timesteps", "20"]
TRAIN = ["--steps", "12", "--batch", "25", "--log-every", "5", "--checkpoint-every", "5", *MODEL]
LONG = ["--steps", "1000000", "--batch", "25", "--log-every", "10", "--checkpoint-every", "10", *MODEL]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def start(args, env=None):
    clean = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")}
    return subprocess.Popen([PROGRAM, *args, "--quiet", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**clean, **(env or {})})


def ranks(world, args, last=None):
    """Processes of one command; `last`: another one of the last."""
    port = free_port()
    return [start(last if last and rank == world - 1 else args,
                  {"RANK": str(rank), "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                   "DIFFREWARD_RANK_TIMEOUT": "60"}) for rank in range(world)]


def finish(processes, codes=None):
    """What each wrote to standard error; standard output of rank 0."""
    ended = [process.communicate(timeout=120) for process in processes]
    found = [process.returncode for process in processes]
    assert found == (codes or [0] * len(processes)), (found, ended)
    assert all(not out for out, _ in ended[1:]), "rank 0 alone tells the result"
    for (_, err), code in zip(ended, found, strict=True):
        assert code != 1 or len(err.strip().splitlines()) == 1, err
    return [err for _, err in ended], ended[0][0]


def until(there, what):
    end = time.monotonic() + 60
    while not there():
        assert time.monotonic() < end, f"expected {what}"
        time.sleep(0.02)


def the_number_of_processes_is_in_no_byte(root, data, net):
    """Of models, of their checkpoints and metrics, whatever the threads."""
    seen = {}
    for world, threads in ((1, "1"), (1, "2"), (2, "1"), (3, "2")):
        out = root / f"{net}-{world}-{threads}"
        args = ["train", "--data", str(data), "--net", net, "--accumulate", PARTS, "--out", str(out), "--threads", threads, *TRAIN]
        _, told = finish(ranks(world, args) if world > 1 else [start(args)])
        assert json.loads(told)["training"]["steps"] == 12
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        for line in lines:
            del line["steps_per_second"], line["time"]
        seen[world, threads] = (sha256(out / "model.safetensors"), sha256(out / "checkpoint.safetensors"), lines)
        assert not (out / "unfinished").exists()
    assert len({str(value) for value in seen.values()}) == 1, seen
    out = root / f"{net}-whole"
    finish([start(["train", "--data", str(data), "--net", net, "--out", str(out), "--threads", "1", *TRAIN])])
    assert sha256(out / "model.safetensors") != seen[1, "1"][0], "the order of sums is a setting, and this is another one"
    print(f"{net}: 1, 2 and 3 processes, 1 and 2 threads: the same bytes")


def rewards_are_extracted_by_several(root, data):
    models = {}
    for name in ("base", "expert"):
        models[name] = root / name
        finish([start(["train", "--data", str(data), "--out", str(models[name]), "--seed", str(len(name)), *TRAIN])])
    common = ["--expert", str(models["expert"]), "--base", str(models["base"]), "--expert-data", str(data), "--base-data", str(data),
              "--read-t", "3", "--support-points", "64", "--steps", "9", "--batch", "25", "--accumulate", PARTS, "--threads", "1"]
    for net in ("mlp", "denoisers"):
        seen = set()
        for world in (1, 2, 3):
            out = root / f"rho-{net}-{world}"
            args = ["extract", *common, "--net", net, "--out", str(out)]
            finish(ranks(world, args) if world > 1 else [start(args)])
            seen.add((sha256(out / "reward.safetensors"), sha256(out / "metrics.jsonl")))
        assert len(seen) == 1, (net, seen)
    errors, _ = finish(ranks(2, ["extract", *common, "--method", "discriminator", "--out", str(root / "logit")]), [1, 1])
    assert "method: expected one process to train discriminator, found several" in errors[0], errors
    print("rewards: 1, 2 and 3 processes: the same bytes")


def a_lost_rank_ends_all_and_others_go_on(root, data):
    straight = root / "straight"
    # What is left of a run that is killed says how long the straight one must be.
    for lost, how in ((1, signal.SIGKILL), (0, signal.SIGKILL), (2, signal.SIGINT)):
        out = root / f"lost-{lost}-{how.name}"
        args = ["train", "--data", str(data), "--accumulate", PARTS, "--threads", "1", "--out", str(out)]
        processes = ranks(3, [*args, *LONG])
        until((out / "unfinished/checkpoint.safetensors").exists, "a checkpoint")
        processes[lost].send_signal(how)
        begin = time.monotonic()
        codes = [1, 1, 1]
        codes[lost] = -how if how == signal.SIGKILL else 1
        errors, _ = finish(processes, codes)
        assert time.monotonic() - begin < 20, "ranks that are left must not wait for the time limit"
        for rank, error in enumerate(errors):
            if rank != lost:
                assert f"rank {rank} of 3: rank {lost} ended or is out of reach" in error, (lost, rank, error)
        assert not (out / "model.safetensors").exists() and not (out / "stage.json").exists()

        # Its checkpoint, and so its files, are those of a run that nobody stopped: with two processes, then alone.
        steps = int(json.loads((out / "unfinished/metrics.jsonl").read_text().splitlines()[-1])["step"]) + 40
        work = ["--steps", str(steps), *LONG[2:]]
        shutil.rmtree(straight, ignore_errors=True)
        finish([start(["train", "--data", str(data), "--accumulate", PARTS, "--threads", "1", "--out", str(straight), *work])])
        record = json.loads((out / "unfinished/stage.json").read_text())
        record["key"]["config"]["steps"] = steps  # the same run, of fewer steps
        (out / "unfinished/stage.json").write_text(json.dumps(record))
        finish(ranks(2, [*args, *work]) if lost != 1 else [start([*args, *work])])
        assert sha256(out / "model.safetensors") == sha256(straight / "model.safetensors"), (lost, how)
    print("a killed rank, a killed rank 0, Ctrl-C on one: all end, others go on to the same bytes")


def finished_stages_are_kept(root, data):
    out = root / "kept"
    args = ["train", "--data", str(data), "--accumulate", PARTS, "--threads", "1", "--out", str(out), "--reuse", *TRAIN]
    finish(ranks(2, args))
    before = os.stat(out / "model.safetensors").st_mtime_ns
    finish(ranks(2, args))
    assert os.stat(out / "model.safetensors").st_mtime_ns == before
    print("a finished stage is kept by all")


def what_does_not_belong_together_is_refused(root, data, other):
    out = root / "refused"
    def train(data, parts=PARTS):
        return ["train", "--data", str(data), "--accumulate", parts, "--threads", "1", "--out", str(out), *TRAIN]

    args = train(data)
    for last, named in (([*args, "--lr", "0.01"], "config.lr: expected rank 0's 0.001, found 0.01 on rank 2"),
                        (train(other), "inputs.data: expected rank 0's")):
        errors, _ = finish(ranks(3, args, last), [1, 1, 1])
        assert all(f"ranks: {named}" in error for error in errors), errors
    masked = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX2_Usable,-FMA_Usable,-AVX512F,-FMA4"}
    port = free_port()
    variables = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "DIFFREWARD_RANK_TIMEOUT": "60"}
    pair = [start(args, {**variables, "RANK": "0"}), start(args, {**variables, **masked, "RANK": "1"})]
    ended = [process.communicate(timeout=120)[1] for process in pair]
    if pair[0].returncode == 0:
        print("this processor has no features to hide: left out")
        shutil.rmtree(out)
    else:
        assert all("ranks: arithmetic." in error for error in ended), ended
    errors, _ = finish(ranks(2, args, train(root / "absent")), [1, 1])
    assert "rank 0 of 2: rank 1 ended or is out of reach" in errors[0] and "absent" in errors[1], errors
    assert not out.exists(), "nothing is written before all agree"
    errors, _ = finish(ranks(2, train(data, "1")), [1, 1])
    assert "accumulate: expected at least 2 parts of a batch for as many processes, got 1" in errors[0], errors
    print("another config, data or arithmetic is refused, and so are too few parts")


def launchers_are_told_what_they_forgot(root, data):
    out = root / "forgotten"
    args = ["train", "--data", str(data), "--accumulate", PARTS, "--threads", "1", "--out", str(out), *TRAIN]
    whole = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
             "DIFFREWARD_RANK_TIMEOUT": "2"}
    for name, value, message in (
        ("MASTER_ADDR", "", "MASTER_ADDR: expected it beside WORLD_SIZE 2, found nothing"),
        ("MASTER_PORT", "", "MASTER_PORT: expected it beside WORLD_SIZE 2, found nothing"),
        ("RANK", "", "RANK: expected it beside WORLD_SIZE 2, found nothing"),
        ("RANK", "2", "RANK: expected a number in [0, 1], found '2'"),
        ("WORLD_SIZE", "two", "WORLD_SIZE: expected a number in [1, 4096], found 'two'"),
        ("RANK", "0", "WORLD_SIZE: expected 2 ranks at 127.0.0.1"),  # the other one does not come
        ("RANK", "1", "MASTER_ADDR: expected rank 0 at 127.0.0.1"),  # nor does the first
    ):
        process = start(args, {**whole, name: value, "MASTER_PORT": value if name == "MASTER_PORT" else str(free_port())})
        _, error = process.communicate(timeout=60)
        assert process.returncode == 1 and message in error and len(error.splitlines()) == 1, (name, value, error)
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        process = start(args, {**whole, "MASTER_PORT": str(taken.getsockname()[1])})
        _, error = process.communicate(timeout=60)
        assert process.returncode == 1 and f"MASTER_PORT: expected a free port, found {taken.getsockname()[1]} taken" in error, error
    process = start(["run", "maze2d-tiny", "--out", str(out)], whole)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2 and "run: expected one process, found WORLD_SIZE 2" in error, error
    assert not out.exists()
    print("what is missing or taken is named")


def torchrun_starts_it(root, data):
    if TORCHRUN is None or not pathlib.Path(TORCHRUN).exists():
        print("torchrun is not installed: left out")
        return
    out = root / "torchrun"
    args = ["train", "--data", str(data), "--net", "mlp", "--accumulate", PARTS, "--threads", "1", "--out", str(out), *TRAIN]
    subprocess.run([TORCHRUN, "--standalone", "--nproc-per-node", "2", "--no-python", PROGRAM, *args, "--quiet"], check=True,
                   capture_output=True, timeout=120)
    assert sha256(out / "model.safetensors") == sha256(root / "mlp-1-1/model.safetensors")
    print("torchrun: the same bytes")


with tempfile.TemporaryDirectory() as name:
    root = pathlib.Path(name)
    for seed, folder in ((0, "data"), (1, "other")):
        finish([start(["generate", "--out", str(root / folder), "--steps", "1600", "--count", "8", "--seed", str(seed)])])
    data = root / "data"
    the_number_of_processes_is_in_no_byte(root, data, "mlp")
    the_number_of_processes_is_in_no_byte(root, data, "unet")
    rewards_are_extracted_by_several(root, data)
    a_lost_rank_ends_all_and_others_go_on(root, data)
    finished_stages_are_kept(root, data)
    what_does_not_belong_together_is_refused(root, data, root / "other")
    launchers_are_told_what_they_forgot(root, data)
    torchrun_starts_it(root, data)
