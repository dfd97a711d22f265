"""Detector (rewards/image/judge/detector.h) against NudeNet's own package on pictures of noise and shapes.

usage: detector_reference.py DIFFREWARD              (skipped without nudenet, onnx, onnxruntime)
       detector_reference.py --golden FOLDER         (tests/golden/detector, a network whose answers one can tell; needs onnx)

The golden network sees 32 x 32 pixels as four cells of 16 x 16; a cell's scores are its mean red and its mean blue, and its
box has 12 pixels a side: around (8, 8), (10, 8), (8, 24) and (24, 24).
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import tempfile

SKIPPED = 77
ROOT = pathlib.Path(__file__).resolve().parents[2]


def write_golden(folder: pathlib.Path) -> None:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = np.zeros((6, 3, 16, 16), np.float32)
    weight[4, 0] = weight[5, 2] = 1 / 256
    boxes = np.zeros((1, 6, 4), np.float32)
    boxes[0, :4] = [[8, 10, 8, 24], [8, 8, 24, 24], [12] * 4, [12] * 4]
    nodes = [
        helper.make_node("Conv", ["images", "weight"], ["cells"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Reshape", ["cells", "shape"], ["rows"]),
        helper.make_node("Add", ["rows", "boxes"], ["output"]),
    ]
    values = {"weight": weight, "shape": np.array([1, 6, 4], np.int64), "boxes": boxes}
    graph = helper.make_graph(
        nodes, "cells", [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 6, 4])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "cells.onnx")
    (folder / "kinds.txt").write_text("red\nblue\n")


def compare(program: str) -> int:
    try:
        import nudenet
        import numpy as np
        import onnx  # noqa: F401
        from PIL import Image
    except ImportError as error:
        print(f"skipped: {error}")
        return SKIPPED
    rng, worst, told = np.random.default_rng(0), 0.0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        subprocess.run([sys.executable, ROOT / "tools" / "detector_weights.py", folder / "net.onnx"], check=True)
        for i, size in enumerate([(320, 320), (200, 320), (320, 240), (97, 61), (640, 500)]):
            coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(folder / f"{i}.png")
        detector = nudenet.NudeDetector()
        command = [program, "image", "detect", folder, "--detector", folder / "net.onnx", "--threshold", "0.001", "--overlap", "1", "--json"]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["pictures"]
        for picture in found:
            # the package's own preprocessing and network, before its thresholds
            blob = nudenet.nudenet._read_image(picture["file"], 320)[0]
            output = detector.onnx_session.run(None, {detector.input_name: blob})[0][0]
            best = np.sort(output[4:].max(axis=0))[::-1]
            for theirs, ours in zip(best, picture["found"], strict=False):
                worst, told = max(worst, abs(float(theirs) - ours["score"])), told + 1
    print(f"{told} scores of {len(found)} pictures, largest difference {worst:.2g}")
    return 0 if told > 20 and worst < 1e-4 else 1


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--golden":
        write_golden(pathlib.Path(sys.argv[2]))
    elif len(sys.argv) == 2:
        sys.exit(compare(sys.argv[1]))
    else:
        sys.exit(__doc__)
