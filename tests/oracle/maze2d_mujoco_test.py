"""The MuJoCo engine against Python's mujoco stepping the same model with the same controls: bit-equal.

usage: maze2d_mujoco_test.py PATH_OF_maze2d_trajectory
"""

import pathlib
import subprocess
import sys
import tempfile

import mujoco
import numpy as np

STEPS = 10_000


def check(program: str, maze: str, folder: pathlib.Path) -> None:
    subprocess.run([program, maze, str(STEPS), str(folder)], check=True)
    model = mujoco.MjModel.from_xml_path(str(folder / "model.xml"))
    actions = np.fromfile(folder / "actions.f64").reshape(STEPS, 2)
    recorded = np.fromfile(folder / "observations.f64").reshape(STEPS + 1, 4)

    # D4RL's facts, read off the compiled model.
    assert model.opt.timestep == 0.01 and model.opt.iterations == 20
    assert model.opt.integrator == mujoco.mjtIntegrator.mjINT_EULER and not model.opt.gravity.any()
    assert abs(model.body("particle").mass[0] - 4.18879) < 1e-5
    assert (model.dof_damping == 1).all() and (model.actuator_gear[:, 0] == 100).all()
    assert (model.geom_condim == 1).all()

    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = recorded[0, :2], recorded[0, 2:]
    contacts = 0
    for t in range(STEPS):
        np.clip(data.qvel, -5, 5, out=data.qvel)
        data.ctrl[:] = np.clip(actions[t], -1, 1)
        mujoco.mj_step(model, data)
        contacts += data.ncon > 1  # one is the ground
        reached = np.concatenate([data.qpos, data.qvel])
        if reached.tobytes() != recorded[t + 1].tobytes():
            sys.exit(f"{maze}: step {t}: expected {reached}, the engine gave {recorded[t + 1]}")
    assert np.abs(recorded[:, 2:]).max() > 5, "the velocity clip was never needed"
    assert contacts > STEPS // 20, f"only {contacts} steps touched a wall"
    print(f"{maze}: {STEPS} steps bit-equal, {contacts} of them touching a wall")


def main() -> None:
    for maze in ("open", "umaze", "medium", "large"):
        with tempfile.TemporaryDirectory() as folder:
            check(sys.argv[1], maze, pathlib.Path(folder))


if __name__ == "__main__":
    main()
