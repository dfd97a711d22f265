"""cmake/Provenance.cmake on checkouts in every state.

usage: provenance_test.py SOURCE_DIR CMAKE
"""

import pathlib
import re
import subprocess
import sys
import tempfile

SOURCE, CMAKE = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
FOLDERS = ("core", "envs", "datasets", "agents", "rewards", "cli", "cmake", "docs")


def git(folder: pathlib.Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    return subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def made(folder: pathlib.Path, tools: str = "a compiler") -> tuple[str, str, str]:
    """Commit, and the hashes up to agents and up to rewards, that a build there would bake in."""
    out = folder / "build" / "provenance.cpp"
    out.parent.mkdir(exist_ok=True)
    subprocess.run([CMAKE, f"-DSOURCE={folder}", f"-DOUT={out}", f"-DTOOLS={tools}", "-P", SOURCE / "cmake/Provenance.cmake"], check=True)
    commit, agents, rewards = re.findall(r'= "([^"]*)"', out.read_text())
    assert re.fullmatch("[0-9a-f]{64}", agents) and re.fullmatch("[0-9a-f]{64}", rewards) and agents != rewards
    return commit, agents, rewards


def project(folder: pathlib.Path) -> pathlib.Path:
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
        (folder / name / "a.cpp").write_text(f"// {name}\n")
    for name in ("generate", "train", "evaluate", "extract", "plan", "rl", "steer", "report"):
        (folder / "cli" / f"{name}.cpp").write_text(f"// {name}\n")
    (folder / "cmake" / "Toolchain.cmake").write_text("# flags\n")
    (folder / ".gitignore").write_text("build\n")
    return folder


with tempfile.TemporaryDirectory() as name:
    root = project(pathlib.Path(name).resolve() / "a folder")
    commit, agents, rewards = made(root)
    assert commit == "unknown", commit
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    head = git(root, "rev-parse", "--short=12", "HEAD")
    assert made(root) == (head, agents, rewards), "git changes no hash"

    (root / "docs" / "a.cpp").write_text("other words\n")
    assert made(root) == (head + "-dirty", agents, rewards), "a document is no source"
    git(root, "checkout", "-q", "--", ".")
    (root / "cli" / "report.cpp").write_text("// other words\n")
    assert made(root)[1:] == (agents, rewards), "a page is no source"
    (root / "rewards" / "a.cpp").write_text("// changed\n")
    _, same, changed = made(root)
    assert same == agents and changed != rewards, "a reward's source is none of the models'"
    git(root, "checkout", "-q", "--", ".")
    for changed_file in ("core/a.cpp", "envs/a.cpp", "cli/train.cpp", "cmake/Toolchain.cmake"):
        (root / changed_file).write_text("// changed\n")
        assert made(root)[1] != agents and made(root)[2] != rewards, changed_file
        git(root, "checkout", "-q", "--", ".")
    assert made(root, "another compiler")[1] != agents
    (root / "agents" / "a.cpp").rename(root / "agents" / "b.cpp")
    assert made(root)[1] != agents, "names count"

    archive = project(root / "third_party" / "archive")
    assert made(archive) == ("unknown", agents, rewards), "someone else's checkout is not ours"
print("commits and hashes are those of the sources")
