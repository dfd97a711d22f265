"""HDF5 files that strangers wrote, or damaged, or that are no HDF5: each is read right or refused by name.

usage: strangers_files_test.py PATH_OF_data_probe
"""

import gzip
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

import h5py
import numpy as np

PROBE = sys.argv[1]
FOLDER = tempfile.TemporaryDirectory()
ROOT = pathlib.Path(FOLDER.name)
ROWS = 64
RNG = np.random.default_rng(0)
COLUMNS = {
    "observations": RNG.normal(size=(ROWS, 3)).astype(np.float32),
    "actions": RNG.normal(size=(ROWS, 2)).astype(np.float32),
    "rewards": RNG.normal(size=ROWS).astype(np.float32),
    "terminals": np.arange(ROWS) % 16 == 15,
    "timeouts": np.arange(ROWS) % 32 == 7,
}


def probe(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run([PROBE, *map(str, arguments)], capture_output=True, text=True, timeout=60)


def write(without: tuple = (), name: str = "x.hdf5", **options: object) -> pathlib.Path:
    path = ROOT / name
    path.unlink(missing_ok=True)
    with h5py.File(path, "w", **options) as file:
        for column, values in COLUMNS.items():
            if column not in without:
                file[column] = values
    return path


def read(path: pathlib.Path) -> dict:
    done = probe("read", path)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    for name, width in (("observations", 3), ("next_observations", 3), ("actions", 2)):
        seen[name] = np.array(seen[name], np.float32).reshape(-1, width)
    return seen


def reads_right(path: pathlib.Path, ignored: int = 0) -> dict:
    """The columns come back; `ignored` things are left out."""
    seen = read(path)
    for name, values in COLUMNS.items():
        np.testing.assert_array_equal(np.array(seen[name]), values, err_msg=name)
    assert len(seen["ignored"]) == ignored, seen["ignored"]
    return seen


def refuses(path: pathlib.Path, *parts: str) -> None:
    """One line that names the file and says all of `parts`; `check` says the same and goes on living."""
    for action in ("read", "check"):
        done = probe(action, path)
        if action == "check":
            assert done.returncode == 0 and done.stdout.split("\n")[0] in (
                "unreadable-file", "wrong-type", "wrong-shape"), (done.returncode, done.stdout, done.stderr)
            continue
        assert done.returncode == 1, (done.returncode, done.stdout[:200], done.stderr)
        assert done.stderr.count("\n") == 1 and path.name in done.stderr, done.stderr
        for part in parts:
            assert part in done.stderr, (part, done.stderr)


def attributes_of_another_shape() -> None:
    path = write()
    with h5py.File(path, "r+") as file:
        attributes = file.create_group("metadata").attrs
        attributes["seed"] = np.full(5000, 0x4141414141414141)
        attributes["env"] = np.array([b"A" * 16] * 3)
        attributes["behaviour"] = 3.5
        attributes["generator"] = "variable length"
        attributes["extra"] = '{"a":' * 9000 + "1" + "}" * 9000
        attributes["env_options"] = np.bytes_(b'{"reward": "dense"}')
    seen = reads_right(path, ignored=4)
    told = " | ".join(seen["ignored"])
    for name in ("metadata/seed", "metadata/env", "metadata/behaviour", "metadata/extra"):
        assert name + ": expected" in told, told
    metadata = seen["metadata"]
    assert metadata["seed"] == 0 and metadata["env"] == "" and metadata["generator"] == "variable length", metadata
    assert metadata["env_options"] == {"reward": "dense"}, metadata


def sizes_that_wrap_around() -> None:
    def big(name: str, shape: tuple, **options: object) -> pathlib.Path:
        path = write(without=(name,))
        with h5py.File(path, "r+") as file:
            file.create_dataset(name, shape, "f4", **options)
        return path

    refuses(big("actions", (ROWS, 2**58 + 2), chunks=(ROWS, 64)), "actions: expected at most", "288230376151711746")
    refuses(big("observations", (2**62 + 50, 4), chunks=(64, 4)), "observations: expected at most")
    refuses(big("observations", (2**38, 2**20), chunks=(1, 2**20)), "observations: expected a size")
    refuses(big("actions", (ROWS, 0)), "actions: expected at most")


def sizes_that_a_small_file_claims() -> None:
    rows = 2 * 10**8
    path = ROOT / "claims.hdf5"
    with h5py.File(path, "w") as file:
        for name, shape in (("observations", (rows, 4)), ("actions", (rows, 2)), ("rewards", (rows,)),
                            ("terminals", (rows,))):
            file.create_dataset(name, shape, "f4", chunks=True)
    assert path.stat().st_size < 10_000
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    refuses(path, "observations: expected a size that the file can hold")
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert used <= max(before, 100_000), used
    # What was never written reads as zeros, if it is little.
    path = write(without=("rewards",))
    with h5py.File(path, "r+") as file:
        file.create_dataset("rewards", (ROWS,), "f4")
    assert read(path)["rewards"] == [0] * ROWS
    path = write(without=("rewards",))
    with h5py.File(path, "r+") as file:
        file.create_dataset("rewards", (ROWS,), "f8", chunks=(2**27,), maxshape=(None,))
    refuses(path, "rewards: expected chunks of at most 256 MB")


def links_and_storage_elsewhere() -> None:
    secret = ROOT / "secret.bin"
    secret.write_bytes(np.full(ROWS * 3, 7, np.float32).tobytes())
    other = write(name="other.hdf5")

    path = write(without=("observations",))
    with h5py.File(path, "r+") as file:
        file.create_dataset("observations", (ROWS, 3), "f4", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
    refuses(path, "observations: expected data of this file", "external storage")

    for target in (str(other), "other.hdf5", "nowhere.hdf5"):
        path = write(without=("observations",))
        with h5py.File(path, "r+") as file:
            file["observations"] = h5py.ExternalLink(target, "observations")
        refuses(path, "observations: expected data of this file, found a link to another file")
    path = write(without=("observations",))
    with h5py.File(path, "r+") as file:
        file["away"] = h5py.ExternalLink(str(other), "/")
        file["observations"] = h5py.SoftLink("/away/observations")
    refuses(path, "observations: expected data of this file, found a soft link to nothing in it")

    path = write(without=("observations",))
    with h5py.File(path, "r+") as file:
        layout = h5py.VirtualLayout((ROWS, 3), "f4")
        layout[:] = h5py.VirtualSource(str(other), "observations", (ROWS, 3))
        file.create_virtual_dataset("observations", layout)
    refuses(path, "observations: expected data of this file", "virtual")

    path = write(without=("observations",))
    with h5py.File(path, "r+") as file:
        file["deep/inside"] = COLUMNS["observations"]
        file["observations"] = h5py.SoftLink("/deep/inside")
        file["infos/elsewhere"] = h5py.ExternalLink(str(other), "observations")
    assert "infos/elsewhere" in reads_right(path, ignored=1)["ignored"][0]


def filters() -> None:
    for options in ({"compression": "lzf"}, {"compression": "lzf", "shuffle": True}, {"compression": "gzip"},
                    {"fletcher32": True}, {"compression": "gzip", "shuffle": True, "chunks": (7, 1)}):
        path = write(without=("observations",))
        with h5py.File(path, "r+") as file:
            file.create_dataset("observations", data=COLUMNS["observations"], **options)
        reads_right(path)
    for number, name in ((32001, "Blosc"), (32015, "Zstandard"), (32004, "LZ4"), (4242, "unknown")):
        path = write(without=("observations",))
        with h5py.File(path, "r+") as file:
            plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plan.set_chunk((ROWS, 3))
            plan.set_filter(number, h5py.h5z.FLAG_OPTIONAL)
            column = h5py.h5d.create(file.id, b"observations", h5py.h5t.IEEE_F32LE,
                                     h5py.h5s.create_simple((ROWS, 3)), plan)
            column.write_direct_chunk((0, 0), COLUMNS["observations"].tobytes(), 1)
        reads_right(path)  # the chunk says that the filter was left out
        with h5py.File(path, "r+") as file:
            file["observations"].id.write_direct_chunk((0, 0), b"who knows" * 40, 0)
        refuses(path, "observations: expected a filter that is at hand", f"{name} ({number})", "rewrite the file")


def other_layouts() -> None:
    reads_right(write(userblock_size=512))
    reads_right(write(libver=("v108", "v110")))
    refuses(write(libver="latest"), "of a format that HDF5 1.", "found a newer one", "rewrite the file")
    path = write(without=tuple(COLUMNS))
    with h5py.File(path, "r+") as file:  # one byte before floats, so that they lie askew
        for name, values in COLUMNS.items():
            file[name] = values.astype(">f8") if values.dtype != bool else values
    reads_right(path)
    path = write(without=("terminals", "timeouts"))
    with h5py.File(path, "r+") as file:
        file["terminals"] = np.uint8(255) * COLUMNS["terminals"]
        file["timeouts"] = np.int64(-(2**40)) * COLUMNS["timeouts"]
    seen = reads_right(path)
    assert [e[1] for e in seen["episodes"] if e[2]] == [16, 32, 48, 64], seen["episodes"]
    refused = write(without=("observations",))
    with h5py.File(refused, "r+") as file:
        file["observations"] = np.array([b"text"] * ROWS)
    refuses(refused, "observations: expected an array of numbers, found text")


def odd_infos() -> None:
    path = write()
    with h5py.File(path, "r+") as file:
        file["infos/goal"] = np.ones((ROWS, 2), np.float32)
        file["infos/success"] = COLUMNS["terminals"]
        file["infos/note"] = ["text"] * ROWS
        file["infos/image"] = np.zeros((ROWS, 4, 4), np.uint8)
        file["infos/once"] = np.zeros(3)
        file["infos/single"] = 4
        file["infos/nested/deep"] = np.zeros(ROWS)
    seen = reads_right(path, ignored=5)
    assert set(seen["infos"]) == {"goal", "success"}, set(seen["infos"])
    assert seen["infos"]["success"]["values"] == list(map(float, COLUMNS["terminals"]))
    for name in ("note", "image", "once", "single", "nested"):
        assert any(f"infos/{name}: expected" in text for text in seen["ignored"]), (name, seen["ignored"])


def what_is_no_hdf5() -> None:
    whole = write().read_bytes()
    swmr = write(name="swmr.hdf5", libver="latest").read_bytes()

    def named(content: bytes, *parts: str) -> None:
        (ROOT / "y.hdf5").write_bytes(content)
        refuses(ROOT / "y.hdf5", *parts)

    named(b"", "an empty one")
    named(b"\n <!DOCTYPE html>\n<html><body>404</body></html>", "a web page: download the file itself")
    named(gzip.compress(whole), "a gzip archive: unpack it first")
    named(b"PK\x03\x04" + whole, "a zip archive")
    named(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n", "a Git LFS pointer", "git lfs pull")
    named(b"hello", "found other content")
    named(whole[:-100], f"expected {len(whole)} bytes, found a truncated file of {len(whole) - 100}")
    named(whole[:8] + b"\x09" + whole[9:], "superblock version 0 to 3, found 9", "newer HDF5")
    assert swmr[8] == 3
    named(swmr[:11] + b"\x05" + swmr[12:], "marked as open for writing", "h5clear")
    for what in (["mkfifo", str(ROOT / "pipe.hdf5")], ["ln", "-s", "/dev/zero", str(ROOT / "zero.hdf5")]):
        subprocess.run(what, check=True)
        refuses(pathlib.Path(what[-1]), "expected a file, found a " + ("pipe" if "pipe" in what[-1] else "device"))

    with h5py.File(write(name="busy.hdf5"), "r+"):
        refuses(ROOT / "busy.hdf5", "another process is writing to", "close it")
    reads_right(ROOT / "busy.hdf5")


def names_with_escapes() -> None:
    path = write(name="a\x1b[31m.hdf5")
    path.write_bytes(path.read_bytes()[:200])
    done = probe("read", path)
    assert done.returncode == 1 and "\x1b" not in done.stderr and "a\\x1b[31m.hdf5" in done.stderr, done.stderr
    path = write()
    with h5py.File(path, "r+") as file:
        file["infos/\x1b]0;x"] = ["text"] * ROWS
    assert "\x1b" not in reads_right(path, ignored=1)["ignored"][0]


def main() -> None:
    attributes_of_another_shape()
    sizes_that_wrap_around()
    sizes_that_a_small_file_claims()
    links_and_storage_elsewhere()
    filters()
    other_layouts()
    odd_infos()
    what_is_no_hdf5()
    names_with_escapes()
    print("read right or refused by name")


if __name__ == "__main__":
    main()
