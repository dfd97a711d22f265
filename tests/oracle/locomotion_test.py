"""Locomotion environments against Gymnasium's, from equal states under equal actions: bit-equal.

usage: locomotion_test.py PATH_OF_locomotion_trajectory [ID ...]

For each id: the compiled models and the default options are equal; then observation, reward, termination and every entry of
`info` are equal (==) at each step of 50 episodes of random actions, once with Gymnasium's defaults and once with other
options, and of 5 episodes of a saved policy (tests/oracle/policies).
Without termination the second run also covers what happens after a fall.
"""

import inspect
import json
import pathlib
import subprocess
import sys
import tempfile
import types

sys.modules.setdefault("imageio", types.ModuleType("imageio"))  # Gymnasium wants it, to save pictures only

import gymnasium
import mujoco
import numpy as np

gymnasium.logger.min_level = gymnasium.logger.ERROR  # v4 is out of date, which is known

EPISODES, POLICY_EPISODES, STEPS, LONG_STEPS = 50, 5, 300, 1000
LASTING = {"Hopper": 300, "Walker2d": 300, "Humanoid": 60}  # steps that a saved policy's episodes last, at least, in the mean

# Not equal bit for bit everywhere: np.linalg.norm calls the BLAS's dot product, which fuses multiply and add or
# not as the processor has it.
TOLERANCE = {"distance_from_origin": 1e-10}

OTHER_OPTIONS = {
    "HalfCheetah": {"forward_reward_weight": 1.3, "ctrl_cost_weight": 0.07, "reset_noise_scale": 0.2},
    "Hopper": {"forward_reward_weight": 1.3, "healthy_reward": 0.7, "terminate_when_unhealthy": False,
               "healthy_z_range": [0.5, 1.5], "healthy_state_range": [-4.0, 4.0]},
    "Walker2d": {"ctrl_cost_weight": 0.01, "healthy_reward": 0.7, "terminate_when_unhealthy": False,
                 "healthy_angle_range": [-0.5, 0.8]},
    "Swimmer": {"forward_reward_weight": 1.3, "ctrl_cost_weight": 0.01},
    "Ant": {"ctrl_cost_weight": 0.3, "healthy_reward": 0.7, "terminate_when_unhealthy": False,
            "contact_cost_weight": 1e-3, "contact_force_range": [-0.6, 0.8], "healthy_z_range": [0.35, 0.8]},
    "Humanoid": {"forward_reward_weight": 1.3, "ctrl_cost_weight": 0.2, "terminate_when_unhealthy": False,
                 "healthy_z_range": [1.2, 1.9]},
}
OTHER_OPTIONS_V5 = {
    "HalfCheetah": {"frame_skip": 3},
    "Hopper": {"frame_skip": 3},
    "Walker2d": {"frame_skip": 3},
    "Swimmer": {"frame_skip": 3},
    "Ant": {"frame_skip": 3, "forward_reward_weight": 1.3, "main_body": 3},
    "Humanoid": {"frame_skip": 3, "contact_cost_weight": 1e-3, "contact_cost_range": [0.01, 0.5],
                 "include_cvel_in_observation": False},
}
OTHER_OPTIONS_V4 = {"Ant": {"use_contact_forces": True}}

# What only pictures, names and memory depend on.
NOT_PHYSICS = ("vis", "stat", "name", "text", "tex", "mat", "cam", "light", "numeric", "key", "nuser", "narena",
               "nbuffer", "signature", "path", "geom_matid", "geom_rgba", "geom_user", "opt", "flex_", "ntupledata")


def check_models(name: str, ours: mujoco.MjModel, theirs: mujoco.MjModel, skip: tuple = NOT_PHYSICS) -> None:
    for option in (name for name in dir(theirs.opt) if not name.startswith("_")):
        a, b = getattr(ours.opt, option), getattr(theirs.opt, option)
        if isinstance(b, (int, float, np.ndarray)) and not np.array_equal(a, b):
            sys.exit(f"{name}: option {option}: expected {b}, got {a}")
    compared = 0
    for field in dir(theirs):
        if field.startswith("_") or any(part in field for part in skip):
            continue
        a, b = getattr(ours, field), getattr(theirs, field)
        if isinstance(b, (int, float, np.ndarray)):
            compared += 1
            if not np.array_equal(a, b):
                sys.exit(f"{name}: {field} of the model: expected\n{b}\ngot\n{a}")
    assert compared > 200, compared


def check_defaults(name: str, ours: dict, constructor) -> None:
    """Equal to the constructor's, but for what concerns files and pictures; v4 has its frame_skip written in, and
    physical parameters are our own."""
    parameters = inspect.signature(constructor).parameters
    theirs = {key: p.default for key, p in parameters.items()
              if key not in ("self", "xml_file", "default_camera_config", "kwargs")}
    if name.endswith("-v4"):
        ours.pop("frame_skip", None)
    ours = {key: value for key, value in ours.items() if not key.startswith("physics.")}
    largest = sys.float_info.max  # our infinity, see kNoLimit
    theirs = {key: [float(np.clip(x, -largest, largest)) for x in value] if isinstance(value, tuple) else value
              for key, value in theirs.items()}
    if ours != theirs:
        sys.exit(f"{name}: default options: expected {theirs}, got {ours}")


def check(program: str, name: str, options: dict, steps: int, episodes: int = EPISODES, policy: str = "") -> None:
    with tempfile.TemporaryDirectory() as path:
        folder = pathlib.Path(path)
        command = [program, name, json.dumps(options), str(episodes), str(steps), path, *([policy] if policy else [])]
        subprocess.run(command, check=True)
        columns = [line.split() for line in (folder / "info.txt").read_text().splitlines()]
        env = gymnasium.make(name, disable_env_checker=True, **options).unwrapped
        check_models(name, mujoco.MjModel.from_binary_path(str(folder / "model.mjb")), env.model)
        check_defaults(name, json.loads((folder / "defaults.json").read_text()), type(env).__init__)
        read = {p.stem: np.fromfile(p) for p in folder.glob("*.f64")}
    nq, nobs = env.model.nq, env.observation_space.shape[0]
    starts = read["starts"].reshape(episodes, nq + env.model.nv)
    first = read["first"].reshape(episodes, nobs)
    total = len(read["rewards"])
    actions = read["actions"].reshape(total, env.model.nu)
    observations = read["observations"].reshape(total, nobs)
    infos = read["info"].reshape(total, sum(int(size) for _, size in columns))
    row = 0

    def compare(episode: int, step: int, field: str, ours, theirs) -> None:
        ours, theirs = np.atleast_1d(ours), np.atleast_1d(np.asarray(theirs, dtype=np.float64))
        equal = ours == theirs
        if field in TOLERANCE:
            equal = np.abs(ours - theirs) <= TOLERANCE[field]
        if ours.shape != theirs.shape or not equal.all():
            at = np.flatnonzero(~equal)[:5] if ours.shape == theirs.shape else "shape"
            sys.exit(f"{name} {options}: episode {episode}, step {step}: {field}{at}: "
                     f"expected {theirs[at] if ours.shape == theirs.shape else theirs.shape}, "
                     f"got {ours[at] if ours.shape == theirs.shape else ours.shape}")

    env.reset(seed=0)
    for episode in range(episodes):
        mujoco.mj_resetData(env.model, env.data)
        env.set_state(starts[episode, :nq], starts[episode, nq:])
        compare(episode, 0, "observation", first[episode], env._get_obs())
        for step in range(1, int(read["lengths"][episode]) + 1):
            obs, reward, terminated, _, info = env.step(actions[row])
            compare(episode, step, "observation", observations[row], obs)
            if set(info) != {column for column, _ in columns}:
                sys.exit(f"{name}: info names: expected {sorted(info)}, got {columns}")
            at = 0
            for column, size in columns:
                compare(episode, step, column, infos[row, at:at + int(size)], info[column])
                at += int(size)
            compare(episode, step, "reward", read["rewards"][row], reward)
            compare(episode, step, "terminated", read["ended"][row], terminated)
            row += 1
    assert row == total
    if policy and total < LASTING.get(name.split("-")[0], 0) * episodes:
        sys.exit(f"{name}: episodes of the saved policy last {total / episodes:.0f} steps: it falls too soon to try much")
    how = " of a saved policy" if policy else ""
    print(f"{name} {options or ''}: {total} steps of {episodes} episodes{how} equal", flush=True)


def main() -> None:
    program, chosen = sys.argv[1], sys.argv[2:]
    for robot in OTHER_OPTIONS:
        for version, more in (("v5", OTHER_OPTIONS_V5), ("v4", OTHER_OPTIONS_V4)):
            name = f"{robot}-{version}"
            if chosen and name not in chosen:
                continue
            check(program, name, {}, LONG_STEPS if name == "HalfCheetah-v5" else STEPS)
            policy = pathlib.Path(__file__).parent / "policies" / f"{robot}.json"
            check(program, name, {}, LONG_STEPS, POLICY_EPISODES, str(policy))
            other = {**OTHER_OPTIONS[robot], **more.get(robot, {})}
            check(program, name, {**other, "exclude_current_positions_from_observation": False}, 100)


if __name__ == "__main__":
    main()
