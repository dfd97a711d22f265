"""``python -m diffreward.export``: data sets in the files of other loaders (``diffreward.exports``)."""

from __future__ import annotations

import argparse
import sys

from diffreward import exports


def main(arguments: list[str] | None = None) -> int:
    """Writes what the arguments say: exit code 0 done, 1 failed, 2 wrong use."""
    parser = argparse.ArgumentParser(prog="python -m diffreward.export", description=exports.__doc__.split("\n\n")[0])
    parser.add_argument("format", choices=["parquet", "webdataset"])
    parser.add_argument("data", help="data set: a file, a plan's folder or generate's")
    parser.add_argument("out", help="folder for the shards")
    parser.add_argument("--names", default="lerobot", choices=exports.COLUMN_NAMES, help="column names of Parquet")
    parser.add_argument("--shard-mib", type=int, default=256, help="size of a shard, MiB")
    given = parser.parse_args(arguments)
    try:
        if given.format == "parquet":
            files = exports.export_parquet(given.data, given.out, names=given.names, shard_mib=given.shard_mib)
        else:
            files = exports.export_webdataset(given.data, given.out, shard_mib=given.shard_mib)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        print(f"diffreward: {error}", file=sys.stderr)
        return 1
    print(f"{len(files)} files in {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
