"""Fails on an #include against the chain: core < envs < report < datasets < agents < rewards < leaderboard < the rest; and on
JSON that is parsed without parse_json().

usage: layering_test.py SOURCE_DIR
"""
import pathlib
import re
import sys
import tempfile

CHAIN = ["core", "envs", "report", "datasets", "agents", "rewards", "leaderboard"]
TOP = ["cli", "bindings", "tests", "benchmarks", "examples"]
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')


def violations(root: pathlib.Path) -> list[str]:
    found = []
    for folder in CHAIN + TOP:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in {".h", ".cpp"}:
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                where = f"{path.relative_to(root)}:{number}"
                if "Json::parse(" in line and folder != "tests" and path.name != "json.cpp":
                    found.append(f"{where}: strangers' JSON has no limit of depth here, use parse_json()")
                match = INCLUDE.match(line)
                if not match:
                    continue
                target = match.group(1)
                below = target.split("/")[0]
                if folder in CHAIN and below in TOP:
                    found.append(f"{where}: {folder} may not use {below}")
                if folder in CHAIN and below in CHAIN and CHAIN.index(below) > CHAIN.index(folder):
                    found.append(f"{where}: {folder} stands below {below} in the chain")
                if path.suffix == ".h" and not path.name.endswith("_torch.h") and folder in CHAIN and (
                    target.startswith(("torch/", "ATen/", "c10/")) or target.endswith("_torch.h")
                ):
                    found.append(f"{where}: headers must not include LibTorch (see agents/tensor.h)")
                inside = target.split("/")[:2]
                if path.parent == root / "agents" / "nets" and below == "agents" and inside[1] not in {"nets", "kernels", "parallel.h", "tensor.h"}:
                    found.append(f"{where}: agents/nets stands below the rest of agents")
                if folder in {"core", "envs", "report", "datasets"} and target.startswith(("torch/", "ATen/")):
                    found.append(f"{where}: {folder} builds without LibTorch")
    return found


def the_check_itself_fails_when_it_should() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        for folder in CHAIN + TOP:
            (root / folder).mkdir()
        (root / "envs" / "bad.h").write_text('#include "core/error.h"\n#include "rewards/reading.h"\n')
        (root / "agents" / "bad.h").write_text("#include <torch/torch.h>\n")
        (root / "rewards" / "bad.cpp").write_text("const auto json = Json::parse(text);\n")
        (root / "cli" / "good.cpp").write_text('#include "rewards/reading.h"\n')
        assert len(violations(root)) == 3, violations(root)


the_check_itself_fails_when_it_should()
problems = violations(pathlib.Path(sys.argv[1]))
print("\n".join(problems) or "every include follows the chain")
sys.exit(bool(problems))
