"""Data sets in the files of other loaders: Parquet tables and WebDataset's tar archives, shard by shard.

::

    python -m diffreward.export parquet results/hopper hopper-parquet
    python -m diffreward.export webdataset results/scenes scenes-tar

A folder of shards of whole episodes (or pictures) and ``export.json``, which tells what is in which. A shard is written under
a temporary name and renamed: one that has its name is whole. The same command again keeps those and writes what is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pathlib
import tarfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from diffreward._envs import Dataset, ImageSet, is_image_set, open_dataset, open_pictures

__all__ = ["export_parquet", "export_webdataset"]

_MIB = 1 << 20
_RECORD = "export.json"

# Parquet's column names as other libraries have them.
_NAMES = {
    "lerobot": {
        "observation": "observation.state", "action": "action", "next_observation": "next.observation.state",
        "reward": "next.reward", "terminal": "next.terminated", "timeout": "next.truncated", "done": "next.done",
        "info": "info.",
    },
    "minari": {
        "observation": "observations", "action": "actions", "next_observation": "next_observations", "reward": "rewards",
        "terminal": "terminations", "timeout": "truncations", "info": "infos/",
    },
}

COLUMN_NAMES = list(_NAMES)


def export_parquet(data: Dataset | str | os.PathLike[str], out: str | os.PathLike[str], *, names: str = "lerobot",
                   shard_mib: int = 256, group_mib: int = 32) -> list[pathlib.Path]:
    """Writes transitions as Parquet, a row each, in row groups of whole episodes.

    Vectors are lists of a fixed size of float32. Beside the data set's columns a row has ``episode_index``, ``frame_index``
    (of the step in its episode) and ``index`` (of the row). The data set's card is the JSON text ``diffreward`` in each file's
    key-value metadata.

    Args:
        data: a data set, its file, a plan's folder or generate's.
        out: the folder; a new one, or that of the same export, which is then completed.
        names: of the columns, "lerobot" or "minari".
        shard_mib: size of a file before compression, as near as whole episodes allow.
        group_mib: size of a row group.

    Returns:
        The files, in the order of the rows.

    Raises:
        ImportError: without pyarrow (``pip install diffreward[export]``).
        ValueError: another name of columns, or sizes that are none.
        RuntimeError: a data set that cannot be read, or a folder with other files.

    Example:
        >>> import pathlib, tempfile
        >>> files = dr.export_parquet(base_data.folder, pathlib.Path(tempfile.mkdtemp()) / "parquet")
        >>> [file.name for file in files]
        ['data-000000.parquet']
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ImportError("export_parquet: expected pyarrow, found none: pip install 'diffreward[export]'") from None
    if names not in _NAMES:
        raise ValueError(f"names: expected one of {', '.join(_NAMES)}, got {names!r}")
    if isinstance(data, (str, os.PathLike)) and is_image_set(data):
        raise ValueError(f"{os.fspath(data)}: expected transitions, found pictures: export_webdataset() writes these")
    source = data if isinstance(data, Dataset) else open_dataset(data)
    name = _NAMES[names]

    def vectors(dim: int) -> Any:
        return pa.list_(pa.float32(), dim)

    infos = {info: source.info(info) for info in source.info_names}
    fields = [(name["observation"], vectors(source.observations.shape[1])), (name["action"], vectors(source.actions.shape[1])),
              (name["next_observation"], vectors(source.next_observations.shape[1])), (name["reward"], pa.float32()),
              (name["terminal"], pa.bool_()), (name["timeout"], pa.bool_())]
    if "done" in name:
        fields.append((name["done"], pa.bool_()))
    fields += [(name["info"] + info, pa.float32() if values.ndim == 1 or values.shape[1] == 1 else vectors(values.shape[1]))
               for info, values in infos.items()]
    fields += [("episode_index", pa.int64()), ("frame_index", pa.int64()), ("index", pa.int64())]
    schema = pa.schema(fields, metadata={"diffreward": json.dumps(_card(source))})

    def table(first: int, last: int) -> Any:
        """Of episodes [first, last)."""
        episodes = source.episodes[first:last]
        begin, end = int(episodes[0, 0]), int(episodes[-1, 1])
        lengths = episodes[:, 1] - episodes[:, 0]
        columns = [source.observations, source.actions, source.next_observations, source.rewards, source.terminals,
                   source.timeouts]
        columns = [column[begin:end] for column in columns]
        if "done" in name:
            columns.append(columns[4] | columns[5])
        columns += [values[begin:end] for values in infos.values()]
        index = np.arange(begin, end, dtype=np.int64)
        columns += [np.repeat(np.arange(first, last, dtype=np.int64), lengths), index - np.repeat(episodes[:, 0], lengths), index]
        arrays = []
        for field, values in zip(schema, columns, strict=True):
            flat = pa.array(np.ascontiguousarray(values).reshape(-1))
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=field.type) if pa.types.is_fixed_size_list(field.type)
                          else flat)
        return pa.Table.from_arrays(arrays, schema=schema)

    row_bytes = sum(field.type.list_size * 4 if pa.types.is_fixed_size_list(field.type) else field.type.bit_width // 8 or 1
                    for field in schema)
    sizes = (source.episodes[:, 1] - source.episodes[:, 0]) * row_bytes

    def write(first: int, last: int, file: BinaryIO) -> None:
        # Episodes' columns differ in nothing but length, so one group's statistics tell where an episode is.
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for begin, end in _pieces(sizes[first:last], group_mib * _MIB):
                group = table(first + begin, first + end)
                writer.write_table(group, row_group_size=max(1, len(group)))

    options = {"names": names, "shard_mib": shard_mib, "group_mib": group_mib}
    _check_sizes(options)
    return _export(pathlib.Path(out), "parquet", options, source, sizes, ".parquet", write)


def export_webdataset(data: Dataset | ImageSet | str | os.PathLike[str], out: str | os.PathLike[str], *,
                      shard_mib: int = 256) -> list[pathlib.Path]:
    """Writes WebDataset's tar archives, a sample for each episode or picture.

    The sample ``000123`` of an episode has ``000123.obs.npy`` [steps, observation_dim], ``.next_obs.npy``, ``.act.npy``,
    ``.rew.npy`` [steps], ``.terminal.npy``, ``.timeout.npy``, ``.info.<name>.npy`` of each extra column, and ``.json``: the
    episode's index, its first row, steps, return, and whether the task ended it. That of a picture has ``.png``, ``.txt`` (the
    caption), ``.mask.npy`` [side, side] uint8 and ``.json``. The card is ``card.json`` in the folder.

    Args:
        data: a data set or set of pictures, its file, a plan's folder or generate's.
        out: the folder; a new one, or that of the same export, which is then completed.
        shard_mib: size of an archive, as near as whole samples allow; WebDataset's users have 256 to 1024.

    Returns:
        The archives, in the order of the samples.

    Raises:
        ValueError: a size that is none.
        RuntimeError: a data set that cannot be read, or a folder with other files.

    Example:
        >>> import pathlib, tempfile
        >>> files = dr.export_webdataset(base_data.folder, pathlib.Path(tempfile.mkdtemp()) / "tar")
        >>> [file.name for file in files]
        ['data-000000.tar']
    """
    source: Dataset | ImageSet
    if isinstance(data, (Dataset, ImageSet)):
        source = data
    else:
        source = open_pictures(data) if is_image_set(data) else open_dataset(data)
    sample: Callable[[int], Mapping[str, bytes]]
    if isinstance(source, ImageSet):
        count = len(source)
        sizes = np.full(count, 2 * source.side**2 + 8 * 512)  # a picture shrinks as PNG, by how much is not known before

        def sample(index: int) -> Mapping[str, bytes]:
            return {"png": source.png(index), "txt": source.caption(index).encode(), "mask.npy": _npy(source.masks[index]),
                    "json": source.description(index).encode()}
    else:
        episodes = source.episodes
        count = len(episodes)
        infos = {info: source.info(info) for info in source.info_names}
        columns = {"obs": source.observations, "next_obs": source.next_observations, "act": source.actions,
                   "rew": source.rewards, "terminal": source.terminals, "timeout": source.timeouts,
                   **{"info." + info.replace("/", "."): values for info, values in infos.items()}}
        row_bytes = sum(values.nbytes // max(1, len(values)) for values in columns.values())
        sizes = (episodes[:, 1] - episodes[:, 0]) * row_bytes + 1024 * (len(columns) + 1)

        def sample(index: int) -> Mapping[str, bytes]:
            begin, end = (int(row) for row in episodes[index])
            parts = {f"{name}.npy": _npy(values[begin:end]) for name, values in columns.items()}
            told = {"episode_index": index, "first_row": begin, "steps": end - begin,
                    "return": float(source.rewards[begin:end].sum(dtype=np.float64)),
                    "terminated": bool(source.terminals[end - 1])}
            return {**parts, "json": json.dumps(told).encode()}

    digits = max(6, len(str(count)))

    def write(first: int, last: int, file: BinaryIO) -> None:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for index in range(first, last):
                for name, content in sample(index).items():
                    member = tarfile.TarInfo(f"{index:0{digits}d}.{name}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))

    options = {"shard_mib": shard_mib}
    _check_sizes(options)
    return _export(pathlib.Path(out), "webdataset", options, source, sizes, ".tar", write)


def _npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()


def _check_sizes(options: Mapping[str, Any]) -> None:
    for name in ("shard_mib", "group_mib"):
        if name in options and not 1 <= options[name] <= 1 << 20:
            raise ValueError(f"{name}: expected a size in [1, {1 << 20}] MiB, got {options[name]}")


def _card(source: Dataset | ImageSet) -> dict[str, Any]:
    """The data set's card; of one in memory alone its provenance."""
    from diffreward import _chain

    if not os.fspath(source.path):
        return json.loads(source.provenance)
    return json.loads(_chain.run_command("data", json.dumps({"action": "card", "path": os.fspath(source.path)}), False))


def _pieces(sizes: np.ndarray, full: int) -> Iterator[tuple[int, int]]:
    """Ranges of neighbours of at most `full` bytes together, or of one that has more."""
    begin, total = 0, 0
    for index, size in enumerate(sizes):
        if index > begin and total + int(size) > full:
            yield begin, index
            begin, total = index, 0
        total += int(size)
    if begin < len(sizes):
        yield begin, len(sizes)


def _export(out: pathlib.Path, kind: str, options: Mapping[str, Any], source: Dataset | ImageSet, sizes: np.ndarray,
            ending: str, write: Callable[[int, int, BinaryIO], None]) -> list[pathlib.Path]:
    shards = list(_pieces(sizes, options["shard_mib"] * _MIB))
    record = {"format": f"diffreward {kind} 1", **options, "samples": len(sizes), "source": _identity(source, sizes),
              "shards": {f"data-{number:06d}{ending}": [begin, end] for number, (begin, end) in enumerate(shards)}}
    text = json.dumps(record, indent=1) + "\n"
    out.mkdir(parents=True, exist_ok=True)
    place = out / _RECORD
    if place.exists():
        found = place.read_text()
        if found != text:
            raise RuntimeError(f"{place}: expected the record of the same export, found another one; choose another folder")
    elif others := sorted(path.name for path in out.iterdir() if not path.name.startswith(".")):
        raise RuntimeError(f"{out}: expected an empty folder, found {others[0]}")
    for left in out.glob(".*.partial"):  # of an export that was killed
        left.unlink()
    with _atomic(place) as file:
        file.write(text.encode())
    if kind == "webdataset":
        with _atomic(out / "card.json") as file:
            file.write((json.dumps(_card(source), indent=1) + "\n").encode())
    files = []
    for name, (begin, end) in record["shards"].items():
        files.append(out / name)
        if files[-1].exists():
            continue
        with _atomic(files[-1]) as file:
            write(begin, end, file)
    return files


def _identity(source: Dataset | ImageSet, sizes: np.ndarray) -> str:
    """Tells one data set from another without reading it."""
    digest = hashlib.sha256(source.provenance.encode())
    digest.update(np.ascontiguousarray(sizes, dtype=np.int64).tobytes())
    if isinstance(source, Dataset):
        digest.update(np.ascontiguousarray(source.observations[:1024]).tobytes())
    else:
        digest.update(np.ascontiguousarray(source.images[:16]).tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def _atomic(path: pathlib.Path) -> Iterator[BinaryIO]:
    """A file that gets its name when it is whole and on the disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
