"""`diffreward sd sample`, killed on the way: what is there is whole, and the run that resumes makes the bytes that one
without a stop makes.

usage: sd_ends_test.py DIFFREWARD_PROGRAM
"""
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "python"))
from tiny_pipeline import make_tiny_pipeline  # noqa: E402

PROGRAM = sys.argv[1]
PICTURES = 6


def start(model: pathlib.Path, out: pathlib.Path):
    return subprocess.Popen([PROGRAM, "sd", "sample", "--model", model, "--prompts", "a castle", "--samples", str(PICTURES),
                             "--steps", "100", "--safety", "max", "--threads", "1", "--out", out], stderr=subprocess.PIPE,
                            stdout=subprocess.DEVNULL, text=True)


def finish(process) -> str:
    _, err = process.communicate()
    assert process.returncode == 0, err
    return err


def contents(folder: pathlib.Path) -> dict:
    return {path.name: path.read_bytes() for path in folder.iterdir()
            if path.suffix in (".png", ".safetensors") or path.name == "manifest.json"}


with tempfile.TemporaryDirectory() as temporary:
    root = pathlib.Path(temporary)
    model = make_tiny_pipeline(root / "model")
    err = finish(start(model, root / "whole"))
    assert f"{PICTURES * 101}/{PICTURES * 101} steps" in err or "100 %" in err, err  # pndm calls the U-Net once more
    expected = contents(root / "whole")
    assert len(expected) == 2 * PICTURES + 1, sorted(expected)

    stopped = root / "stopped"
    process = start(model, stopped)
    while not (stopped / "unfinished/000001.safetensors").exists() and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    left = contents(stopped / "unfinished")
    assert not contents(stopped), "nothing under its final name before all is done"
    assert 4 <= len(left) < 2 * PICTURES, sorted(left)
    assert all(expected[name] == content for name, content in left.items())
    made = (stopped / "unfinished/000000.png").stat().st_mtime_ns

    finish(start(model, stopped))
    assert contents(stopped) == expected
    assert (stopped / "000000.png").stat().st_mtime_ns == made, "a picture that is done is kept"
    assert not (stopped / "unfinished").exists()
print(f"killed with {len(left)} of {2 * PICTURES} files; resumed to equal bytes")
