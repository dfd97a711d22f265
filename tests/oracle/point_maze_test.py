"""Point mazes against Gymnasium-Robotics', from equal starts and goals under equal actions: bit-equal.

usage: point_maze_test.py PATH_OF_point_maze_trajectory [ID ...]

For each id that Gymnasium-Robotics registers: models, default options, step limits, start and goal cells are equal;
then observation, reward, termination and success are equal (==) at each step of 50 episodes, with the default
options, as an episodic task, and with goals that move. Two things are let pass. Where a goal moves,
Gymnasium-Robotics' observation still shows the old goal (its issue #258) and ours the new one: there its
desired_goal must be the goal reached, and ours one that its rule could have drawn. And dense rewards may differ by
one unit in the last place, because NumPy's exp() is not the C library's.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

from locomotion_test import NOT_PHYSICS, check_models

import gymnasium
import gymnasium_robotics
import mujoco
import numpy as np

gymnasium.register_envs(gymnasium_robotics)

EPISODES, SHORT = 50, 150
RADIUS = 0.45


def check_task(name: str, env, folder: pathlib.Path) -> None:
    """What holds before any step: model, options, cells."""
    ours = mujoco.MjModel.from_xml_path(str(folder / "model.xml"))
    check_models(name, ours, env.model, (*NOT_PHYSICS, "site"))  # sites are drawn only
    defaults = json.loads((folder / "defaults.json").read_text())
    defaults = {key: value for key, value in defaults.items() if key != "maze_map" and not key.startswith("physics")}
    theirs = {key: getattr(env, key) for key in defaults}
    if defaults != theirs:
        sys.exit(f"{name}: default options: expected {theirs}, got {defaults}")
    for cells, places in (("start_cells", env.maze.unique_reset_locations),
                          ("goal_cells", env.maze.unique_goal_locations)):
        found = sorted(map(tuple, np.fromfile(folder / f"{cells}.f64").reshape(-1, 2)))
        expected = sorted(tuple(env.maze.cell_xy_to_rowcol(place)) for place in places)
        if found != expected:
            sys.exit(f"{name}: {cells}: expected {expected}, got {found}")


def could_be_drawn(env, goal: np.ndarray) -> bool:
    """Whether the goal lies within the noise of a goal cell."""
    away = np.abs(np.array(env.maze.unique_goal_locations) - goal).max(axis=1).min()
    return bool(away <= env.position_noise_range)


def check(program: str, name: str, options: dict, steps: int | None) -> None:
    made = gymnasium.make(name, disable_env_checker=True, **options)
    env = made.unwrapped
    steps = steps or made.spec.max_episode_steps
    with tempfile.TemporaryDirectory() as path:
        folder = pathlib.Path(path)
        subprocess.run([program, name, json.dumps(options), str(EPISODES), str(steps), path], check=True)
        if not options:
            check_task(name, env, folder)
        read = {p.stem: np.fromfile(p) for p in folder.glob("*.f64")}
    space = env.observation_space
    total = len(read["rewards"])
    starts, first = read["starts"].reshape(EPISODES, 2), read["first"].reshape(EPISODES, 8)
    actions, observations = read["actions"].reshape(total, 2), read["observations"].reshape(total, 8)
    row = moved = reached = ended = touching = inexact = 0
    shown = slice(2, 4)  # desired_goal

    def compare(episode: int, step: int, field: str, ours, theirs, unit: int = 0) -> None:
        if not np.all(np.abs(ours - theirs) <= unit * np.spacing(np.abs(theirs))):
            sys.exit(f"{name} {options}: episode {episode}, step {step}: {field}: expected {theirs}, got {ours}")

    env.reset(seed=0)
    for episode in range(EPISODES):
        env.goal = first[episode, shown].copy()
        env.point_env.init_qpos[:] = starts[episode]
        obs = env._get_obs(env.point_env.reset()[0])
        compare(episode, 0, "observation", first[episode], gymnasium.spaces.flatten(space, obs))
        compare(episode, 0, "success", read["first_success"][episode],
                np.linalg.norm(obs["achieved_goal"] - env.goal) <= RADIUS)
        if not could_be_drawn(env, env.goal) and episode % 2 == 0:
            sys.exit(f"{name}: episode {episode}: goal {env.goal} is none that a reset draws")
        for step in range(1, int(read["lengths"][episode]) + 1):
            goal = env.goal
            obs, reward, terminated, truncated, info = env.step(actions[row])
            expected = gymnasium.spaces.flatten(space, obs)
            if env.goal is not goal:  # moved
                moved += 1
                compare(episode, step, "goal reached", expected[shown], goal)
                env.goal = observations[row, shown].copy()
                if not could_be_drawn(env, env.goal) or np.linalg.norm(env.goal - expected[:2]) <= RADIUS:
                    sys.exit(f"{name}: episode {episode}, step {step}: {env.goal} is no new goal")
                expected[shown] = env.goal
            compare(episode, step, "observation", observations[row], expected)
            compare(episode, step, "reward", read["rewards"][row], reward, unit=int(env.reward_type == "dense"))
            compare(episode, step, "terminated", read["ended"][row], terminated)
            compare(episode, step, "success", read["success"][row], info["success"])
            assert not truncated
            inexact += read["rewards"][row] != reward
            touching += env.data.ncon > 1  # one is the ground
            reached += info["success"]
            ended += terminated
            row += 1
    assert row == total and reached > 0 and touching > 0, (row, total, reached, touching)
    assert (ended > 0) == (not env.continuing_task) and (moved > 0) == env.reset_target, (ended, moved)
    print(f"{name} {options or ''}: {total} steps of {EPISODES} episodes equal; {touching} touched a wall, {reached} "
          f"reached the goal, {moved} moved it, {inexact} rewards differ in the last bit", flush=True)


def check_ids(program: str, names: list[str]) -> None:
    """The catalog has Gymnasium-Robotics' ids and refuses others."""
    assert len(names) == 20, names
    for name in ("PointMaze_UMaze_Diverse_G-v3", "PointMaze_Open-v2"):
        assert name not in gymnasium.registry
        with tempfile.TemporaryDirectory() as folder:
            ran = subprocess.run([program, name, "{}", "1", "1", folder], capture_output=True, text=True)
        assert ran.returncode == 1 and "unknown environment" in ran.stderr, ran.stderr


def main() -> None:
    program, chosen = sys.argv[1], sys.argv[2:]
    names = [name for name in gymnasium.registry if name.startswith("PointMaze_")]
    check_ids(program, names)
    for name in chosen or names:
        check(program, name, {}, None)
        check(program, name, {"continuing_task": False}, SHORT)
        check(program, name, {"reset_target": True}, SHORT)


if __name__ == "__main__":
    main()
