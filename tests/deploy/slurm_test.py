"""deploy/slurm on a real Slurm: slurmctld and slurmd of this machine, started here with a configuration of their own. An array makes the
shards of a plan while one of its tasks is requeued and another's program is killed; the bytes must be those of one run. Another array makes
a sweep, whose tasks need the same stages.

usage: slurm_test.py DIFFREWARD_PROGRAM      as root, with Debian's packages slurmctld, slurmd and slurm-client; nothing of them is left running
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

PROGRAM = pathlib.Path(sys.argv[1]).resolve()
SOURCE = pathlib.Path(__file__).parents[2]
SIZE = ["--steps", "9600000", "--count", "960", "--episode-steps", "250"]
SHARDS, TASKS = 48, 6
CORES = min(2, os.cpu_count() or 1)
PATIENCE = 900  # seconds; a requeued task is held for about two minutes


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def configuration(folder):
    host = socket.gethostname().split(".")[0]
    text = f"""
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/none
CredType=cred/none
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=2,bf_interval=5
NodeName={host} NodeAddr=127.0.0.1 CPUs={CORES} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
    path = folder / "slurm.conf"
    path.write_text(text)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    return path


def sh(*args, **more):
    return subprocess.run(args, check=True, capture_output=True, text=True, **more).stdout


def diffreward(*args):
    return json.loads(sh(str(PROGRAM), *args, "--json", "--quiet"))


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 24):
            digest.update(piece)
    return digest.hexdigest()


def until(what, ready, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < end, f"expected {what} within {seconds} s"
        time.sleep(0.2)
    return found


def tasks(job):
    """{task: state} of an array's tasks that are running or will."""
    lines = sh("squeue", "--array", "--noheader", "--jobs", job, "--format", "%K %T").split("\n") if job else []
    return dict(line.split() for line in lines if line)


def programs(plan, task):
    """Processes of this program that make a task's shards of this plan."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it has ended
            continue
        if words[0] == str(PROGRAM) and str(plan) in words and words[words.index("--task") + 1] == task:
            found.append(int(path.parent.name))
    return found


def submit(root, plan, *what, tasks=TASKS):
    out = sh("sbatch", "--parsable", f"--array=0-{tasks - 1}", f"--output={root}/task-%a.log", str(SOURCE / "deploy/slurm/array.sbatch"),
             str(plan), *what)
    return out.strip()


def ended(job):
    try:
        return not tasks(job)
    except subprocess.CalledProcessError:  # forgotten already
        return True


JOB = """
seed = 0
[[steps]]
name = "base"
command = "generate"
steps = 400000
[[steps]]
name = "walks"
command = "generate"
steps = 4000
count = 8
seed = "${seed}"
[[figures]]
name = "reward per step"
value = "walks.reward_per_step"
"""


def a_sweep(root):
    (root / "job.toml").write_text(JOB)
    sweep = root / "sweep"
    diffreward("sweep", "plan", str(root / "job.toml"), "--over", "seed=0..3", "--out", str(sweep))
    job = submit(root, sweep, "sweep", tasks=4)
    until("an empty queue", lambda: ended(job))
    status = diffreward("sweep", "status", str(sweep))
    assert status["complete"] and status["stages_done"] == 5 and status["attempts"] == 0, status
    diffreward("run", str(root / "job.toml"), "--set", "seed=2", "--out", str(root / "one"))
    assert (root / "one/results.json").read_bytes() == (sweep / "runs/2/results.json").read_bytes()
    print(f"a sweep of {status['indices']} indices in 4 tasks: {status['stages']} stages, figures of one run")


def main(root):
    os.environ.update(SLURM_CONF=str(configuration(root)), DIFFREWARD=str(PROGRAM), OMP_NUM_THREADS="1")
    daemons = []
    try:
        daemons.append(subprocess.Popen(["slurmctld", "-D"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        time.sleep(1)
        daemons.append(subprocess.Popen(["slurmd", "-D"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        until("an idle node", lambda: "idle" in sh("sinfo", "--noheader", "--format", "%t"), 60)
        diffreward("generate", "--out", str(root / "whole"), *SIZE)
        whole = sha256(root / "whole/data.hdf5")
        plan = root / "plan"
        diffreward("shard", "plan", "--out", str(plan), "--shards", str(SHARDS), *SIZE)

        began = time.monotonic()
        job = submit(root, plan)
        running = until("two running tasks", lambda: [t for t, state in tasks(job).items() if state == "RUNNING"][:CORES])
        until("a shard", lambda: diffreward("shard", "status", str(plan))["done"] > 0)
        requeued, killed = running[0], running[-1]
        sh("scontrol", "requeue", f"{job}_{requeued}")
        victims = programs(plan, killed) if killed != requeued else []
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        until("an empty queue", lambda: ended(job))
        first = diffreward("shard", "status", str(plan))
        seconds = time.monotonic() - began
        again = submit(root, plan)
        until("an empty queue", lambda: ended(again))
        assert diffreward("shard", "verify", str(plan))["whole"] == SHARDS
        diffreward("shard", "merge", str(plan), "--out", str(root / "merged"))
        assert sha256(root / "merged/data.hdf5") == whole
        status = diffreward("shard", "status", str(plan))
        assert status["attempts"] == 0 and not status["quarantined"], status
        print(f"Slurm {sh('sinfo', '--version').split()[-1]}: {SHARDS} shards in {TASKS} tasks, task {requeued} requeued, "
              f"{len(victims)} program(s) of task {killed} killed; after the array {first['done']} shards in {seconds:.0f} s, missing "
              f"'{first['missing_index']}'; submitted again: the bytes of one run")
        a_sweep(root)
    except BaseException:
        for name in ("slurmctld.log", "slurmd.log", *(path.name for path in root.glob("task-*.log"))):
            if (root / name).exists():
                print(name, (root / name).read_text()[-2000:], sep="\n", file=sys.stderr)
        raise
    finally:
        subprocess.run(["scancel", "--user=root"], capture_output=True)  # of this configuration's cluster: after a failure
        try:
            until("an empty queue", lambda: not sh("squeue", "--noheader"), 30)
        except (AssertionError, subprocess.CalledProcessError):
            pass
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(30)


missing = [name for name in ("slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]
if missing or os.geteuid() != 0:
    sys.exit(f"slurm_test.py: expected root and the packages slurmctld, slurmd, slurm-client; missing: {', '.join(missing) or 'root'}")
with tempfile.TemporaryDirectory() as name:
    main(pathlib.Path(name))
