"""The command from Python: ``python -m diffreward`` is the native program."""

import importlib
import os
import pathlib
import signal
import subprocess
import sys
import time
import tomllib

import pytest

MODULE = [sys.executable, "-m", "diffreward"]
PROGRAM = [os.environ.get("DIFFREWARD_PROGRAM", "")]
needs_program = pytest.mark.skipif("DIFFREWARD_PROGRAM" not in os.environ, reason="DIFFREWARD_PROGRAM names no program")


def output(command):
    done = subprocess.run(command, capture_output=True)
    return done.returncode, done.stdout, done.stderr


@needs_program
@pytest.mark.parametrize("arguments", [
    ["envs"], ["envs", "--json"], ["envs", "Maze2D-UMaze-v0"], ["train", "--help"], ["completion", "bash"],
    ["completion", "zsh"], [], ["trian"], ["train"], ["train", "--stesp", "3"], ["generate", "--out", b"\xff"],
    ["data", "info", "absent.hdf5"],
], ids=str)
def test_output_and_exit_code_are_the_programs(arguments):
    assert output(MODULE + arguments) == output(PROGRAM + arguments)


def test_exit_codes():
    code, out, err = output(MODULE + ["envs"])
    assert code == 0 and b"Maze2D-UMaze-v0" in out and err == b""
    code, out, err = output(MODULE + ["train", "--help"])
    assert code == 0 and b"--condition-probability" in out
    assert output(MODULE + ["--version"])[1].startswith(b"diffreward ")
    assert output(MODULE + ["data", "info", "absent.hdf5"])[0] == 1
    code, out, err = output(MODULE + ["trian"])
    assert code == 2 and out == b"" and b"did you mean 'train'" in err


def test_a_command_makes_what_the_program_makes(tmp_path):
    done = subprocess.run(MODULE + ["generate", "--steps", "400", "--count", "2", "--json", "--out", tmp_path / "d"],
                          check=True, capture_output=True, text=True)
    assert '"transitions": 400' in done.stdout and "400/400" in done.stderr
    assert (tmp_path / "d" / "data.hdf5").exists()


def test_a_reader_that_has_enough_ends_it_in_silence():
    process = subprocess.Popen(MODULE + ["envs"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.wait(60) == -signal.SIGPIPE
    assert process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it(tmp_path, number):
    process = subprocess.Popen(MODULE + ["generate", "--steps", "100000000", "--quiet", "--out", tmp_path / "d"],
                               stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "d").exists():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1 and "interrupted: finished stages" in err and "Traceback" not in err
    assert not (tmp_path / "d" / "data.hdf5").exists()


def test_installing_makes_a_program_of_it():
    project = tomllib.loads((pathlib.Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["diffreward"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))
