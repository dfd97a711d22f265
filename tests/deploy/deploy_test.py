"""Templates of deploy/: they call commands and options that there are, Kubernetes' API takes the job, shells take the scripts.

usage: deploy_test.py DIFFREWARD_PROGRAM
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

PROGRAM = sys.argv[1]
DEPLOY = pathlib.Path(__file__).parents[2] / "deploy"
CALL = re.compile(r'(?:diffreward|"\$program"|\}"|\{PROGRAM\}) ((?:(?:(?:shard|sweep) )?(?:plan|run|status|verify|merge|collect)|train)\b|"\$command")([^\n;|#`]*(?:\\\n[^\n;|#`]*|\n +--[^\n;|#`]*)*)')


def help_of(command):
    return subprocess.run([PROGRAM, *command.split(), "--help"], check=True, capture_output=True, text=True).stdout


OPTION = re.compile(r"(?<![\w$-])--[a-z][a-z.-]*")


def unknown_options(call, help_text):
    """Options of a call that the help does not name in whole: --task is not named by --tasks."""
    known = {*OPTION.findall(help_text), "--env-option", "--will-cite"}
    return [option for option in OPTION.findall(call) if option not in known]


def variants(text):
    """A script's text, or, where it serves both, that of either command."""
    if "$what" not in text and "$options" not in text:
        return [text]
    return [text.replace('"$what"', what).replace("$command", f"{what} run").replace("$options", options)
            for what, options in (("shard", "--check size"), ("sweep", ""))]


def options_exist(path):
    calls = 0
    for command, rest in (call for text in variants(path.read_text()) for call in CALL.findall(text)):
        calls += 1
        for name in ("train", "extract") if command == '"$command"' else (command,):
            unknown = unknown_options(rest, help_of(name))
            assert not unknown, (path, name, unknown)
    return calls


def kubernetes_takes(path):
    for job in yaml.safe_load_all(path.read_text()):
        version = kubernetes_validate.latest_version()
        kubernetes_validate.validate(job, version, strict=True)
        if job["kind"] == "Service":
            continue
        spec = job["spec"]
        assert spec["completionMode"] == "Indexed" and "backoffLimitPerIndex" in spec
        container = spec["template"]["spec"]["containers"][0]
        command, variables = " ".join(container["args"]), {one["name"]: one["value"] for one in container.get("env", [])}
        if "WORLD_SIZE" in variables:
            assert int(variables["WORLD_SIZE"]) == spec["completions"] == spec["parallelism"], "ranks are one number"
            assert variables["MASTER_ADDR"] == f"{job['metadata']['name']}-0.{spec['template']['spec']['subdomain']}"
        else:
            assert f"--tasks {spec['completions']} " in command, "completions and --tasks are one number"
        damaged = {**job, "spec": {**spec, "backoffLimitPerIndices": 1}}
        try:
            kubernetes_validate.validate(damaged, version, strict=True)
        except kubernetes_validate.ValidationError:
            continue
        raise AssertionError("a field that there is not was taken")


def absent_plan_is_an_error():
    """A loop that asks what is missing must not take a failed answer for none."""
    environment = {**os.environ, "DIFFREWARD": PROGRAM}
    ended = subprocess.run([DEPLOY / "parallel/run.sh", "/absent/plan"], env=environment, capture_output=True, text=True)
    assert ended.returncode != 0, ended
    assert "/absent/plan" in ended.stderr and "Traceback" not in ended.stderr, ended.stderr


def slurm_tells_ranks_who_they_are():
    """train.sbatch with programs in place of Slurm's that say what they were given."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for program, text in (
            ("scontrol", "echo node7; echo node8"),
            ("srun", 'while [[ $1 == --* ]]; do shift; done; for SLURM_PROCID in 0 1; do export SLURM_PROCID; "$@"; done'),
            ("diffreward", 'echo "$RANK $WORLD_SIZE $MASTER_ADDR $MASTER_PORT $*"'),
        ):
            (folder / program).write_text(f"#!/usr/bin/env bash\n{text}\n")
            (folder / program).chmod(0o755)
        environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_ID": "40001",
                       "SLURM_NTASKS": "2", "SLURM_CPUS_PER_TASK": "3"}
        told = subprocess.run(["bash", DEPLOY / "slurm/train.sbatch", "train", "--data", "a b"], env=environment, check=True, capture_output=True,
                              text=True).stdout.splitlines()
        assert told == [f"{rank} 2 node7 20001 train --threads 3 --data a b" for rank in (0, 1)], told


def array_serves_both():
    """What array.sbatch hands over, by a program that repeats its arguments."""
    environment = {**os.environ, "DIFFREWARD": "echo", "SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "5", "SLURM_ARRAY_TASK_COUNT": "4"}
    for words, expected in (
        (["/p"], "shard run /p --quiet --check size --task 2 --tasks 4 --threads 1"),
        (["/p", "sweep"], "sweep run /p --quiet --task 2 --tasks 4 --threads 1"),
    ):
        said = subprocess.run(["bash", DEPLOY / "slurm/array.sbatch", *words], env=environment, check=True, capture_output=True, text=True).stdout
        assert said.strip() == expected, said
    other = subprocess.run(["bash", DEPLOY / "slurm/array.sbatch", "/p", "both"], env=environment, capture_output=True, text=True)
    assert other.returncode == 2 and "expected shard or sweep, got both" in other.stderr, other


assert unknown_options("--task 1 --tasks=2 --index", "--tasks INT   see --index, or ---task") == ["--task"]
checked = {str(path.relative_to(DEPLOY)): options_exist(path) for path in sorted(DEPLOY.rglob("*")) if path.is_file()}
for name in ("slurm/array.sbatch", "slurm/train.sbatch", "parallel/run.sh", "kubernetes/job.yaml", "kubernetes/train.yaml",
             "snakemake/Snakefile"):
    assert checked[name] > 0, (name, checked)
for name in ("job.yaml", "train.yaml"):
    kubernetes_takes(DEPLOY / "kubernetes" / name)
for script in ("slurm/array.sbatch", "slurm/train.sbatch", "parallel/run.sh"):
    subprocess.run(["bash", "-n", DEPLOY / script], check=True)
slurm_tells_ranks_who_they_are()
absent_plan_is_an_error()
array_serves_both()
print(f"{sum(checked.values())} calls in {len(checked)} files")
