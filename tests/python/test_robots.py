"""RobotEnv: what code for Gymnasium's MujocoEnv reads of a robot, and what it may do to it."""

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium.envs.mujoco.utils import get_state

import diffreward
from diffreward.environment import RobotEnv

ROBOTS = [env_id for env_id in diffreward.env_ids() if env_id.endswith(("-v4", "-v5"))]
V5 = [env_id for env_id in ROBOTS if env_id.endswith("v5")]


def _lasting(env_id):
    """Options with which an episode goes on after a fall."""
    return {"terminate_when_unhealthy": False} if "terminate_when_unhealthy" in diffreward.env_options(env_id) else {}


def _pair(env_id):
    """Ours and Gymnasium's, in equal states of an episode."""
    ours, theirs = (gym.make(name, **_lasting(env_id)).unwrapped for name in (env_id, env_id.split("/")[1]))
    ours.action_space.seed(0)
    ours.reset(seed=3)
    theirs.reset(seed=3)
    theirs.set_state(ours.data.qpos, ours.data.qvel)
    return ours, theirs


POSITION = ("qpos", "xpos", "xquat", "xmat", "xipos", "ximat", "xanchor", "xaxis", "geom_xpos", "geom_xmat", "subtree_com",
            "cdof", "cinert", "ten_length", "actuator_length")
VELOCITY = ("qvel", "cvel", "ten_velocity", "actuator_velocity", "qfrc_passive", "qfrc_bias")
FORCE = ("ctrl", "qacc", "qacc_warmstart", "qfrc_actuator", "qfrc_applied", "xfrc_applied", "qfrc_smooth", "qacc_smooth",
         "qfrc_constraint", "actuator_force")
AFTER_A_STEP = ("cacc", "cfrc_int", "cfrc_ext")


def _equal(ours, theirs, where, names=(*POSITION, *VELOCITY, *FORCE, *AFTER_A_STEP)):
    """To the bit, and so are the contacts."""
    for name in names:
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=f"{where}: {name}")
    assert ours.ncon == theirs.ncon
    for i in range(theirs.ncon):
        np.testing.assert_array_equal(ours.contact[i].pos, theirs.contact[i].pos, err_msg=f"{where}: contact {i}")


@pytest.mark.parametrize("env_id", ROBOTS)
def test_data_is_gymnasiums_through_an_episode(env_id):
    """After a reset, steps and a change of state: positions, forces, contacts and all that MuJoCo derives."""
    ours, theirs = _pair(env_id)
    data = ours.data
    _equal(data, theirs.data, "reset")
    contacts = 0
    for step in range(60):
        action = ours.action_space.sample().astype(np.float64)
        obs, *_, info = ours.step(action)
        assert np.array_equal(obs, theirs.step(action)[0])
        _equal(data, theirs.data, f"step {step}")
        assert data.time == theirs.data.time
        contacts += data.ncon
        if step == 40:
            qpos, qvel = ours.init_qpos + 0.01, ours.init_qvel + 0.02
            assert ours.set_state(qpos, qvel) is None
            theirs.set_state(qpos, qvel)
            _equal(data, theirs.data, "set_state", (*POSITION, *VELOCITY, *FORCE))  # the rest is Gymnasium's last step
    assert ours.data is data, "one object, brought up to date"
    assert contacts or "Swimmer" in env_id


@pytest.mark.parametrize("env_id", ROBOTS)
def test_model_and_constants_are_gymnasiums(env_id):
    ours, theirs = gym.make(env_id).unwrapped, gym.make(env_id.split("/")[1]).unwrapped
    assert isinstance(ours, RobotEnv)
    assert isinstance(ours.model, mujoco.MjModel)
    assert isinstance(ours.data, mujoco.MjData)
    for name in ("nq", "nv", "nu", "nbody", "njnt", "ngeom", "ntendon", "nbvh"):
        assert getattr(ours.model, name) == getattr(theirs.model, name), name
    for name in ("body_mass", "body_inertia", "geom_friction", "jnt_range", "actuator_ctrlrange", "dof_damping"):
        np.testing.assert_array_equal(getattr(ours.model, name), getattr(theirs.model, name), err_msg=name)
    assert ours.dt == theirs.dt
    assert ours.frame_skip == theirs.frame_skip
    assert round(1 / ours.dt) == ours.metadata["render_fps"]
    assert np.array_equal(ours.init_qpos, theirs.init_qpos)
    assert np.array_equal(ours.init_qvel, theirs.init_qvel)


@pytest.mark.parametrize("env_id", ROBOTS)
def test_numbers_of_the_state(env_id):
    ours, theirs = _pair(env_id)
    for _ in range(3):
        action = ours.action_space.sample().astype(np.float64)
        ours.step(action)
        theirs.step(action)
    assert np.array_equal(ours.state_vector(), theirs.state_vector())
    for body in range(1, ours.model.nbody):
        name = ours.model.body(body).name
        if name:
            assert np.array_equal(ours.get_body_com(name), theirs.get_body_com(name)), name
    with pytest.raises(KeyError, match="nobody"):
        ours.get_body_com("nobody")


@pytest.mark.parametrize("env_id", V5)
def test_set_state_needs_no_reset_and_tells_wrong_sizes(env_id):
    env = gym.make(env_id).unwrapped
    nq, nv = env.model.nq, env.model.nv
    qpos = np.random.default_rng(0).uniform(-0.1, 0.1, nq) + env.init_qpos
    env.set_state(qpos, np.zeros(nv))
    assert np.array_equal(env.data.qpos, qpos)
    env.step(env.action_space.sample())
    with pytest.raises(ValueError, match=f"qpos: expected {nq} numbers, got {nq + 1}"):
        env.set_state(np.zeros(nq + 1), np.zeros(nv))
    with pytest.raises(ValueError, match="qvel: expected finite numbers, got nan"):
        env.set_state(qpos, np.full(nv, np.nan))


def test_set_state_begins_an_episode_after_a_fall_and_mends_a_divergence():
    env = gym.make("diffreward/Hopper-v5").unwrapped
    env.reset(seed=0)
    while not env.step(env.action_space.sample())[2]:
        pass
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(3))
    env.set_state(env.init_qpos, env.init_qvel)
    assert not env.step(np.zeros(3))[2]
    with pytest.raises(RuntimeError, match="Nan, Inf"):
        env.set_state(env.init_qpos, np.full(6, 1e11))
        env.step(np.zeros(3))
    env.set_state(env.init_qpos, env.init_qvel)
    assert np.isfinite(env.step(np.zeros(3))[0]).all()


@pytest.mark.parametrize("env_id", ["diffreward/Ant-v5", "diffreward/Humanoid-v4", "diffreward/Hopper-v5"])
def test_a_loaded_state_has_its_derived_quantities(env_id):
    """What observations show is exact to the bit, the rest follows from positions and velocities."""
    env = gym.make(env_id, **_lasting(env_id)).unwrapped
    env.reset(seed=0)
    for _ in range(30):
        env.step(np.full(env.action_space.shape, 0.1))
    state, torso = env.save_state(), env.model.body("torso").id
    kept = {name: getattr(env.data, name).copy() for name in ("qpos", "qvel", "ctrl", "qacc_warmstart", "xpos", "cvel")}
    env.reset(seed=9)
    env.load_state(state)
    for name in ("qpos", "qvel", "ctrl", "qacc_warmstart"):
        assert np.array_equal(getattr(env.data, name), kept[name]), name
    assert np.abs(env.data.xpos[torso] - kept["xpos"][torso]).max() < 0.2
    assert np.linalg.norm(env.data.xpos[torso]) > 0.3, "the torso is in the air, not at the origin"
    if "Humanoid" in env_id:
        assert np.array_equal(env.data.cvel, kept["cvel"])


def test_asking_does_not_change_the_simulation():
    watched, plain = (gym.make("diffreward/Ant-v5", terminate_when_unhealthy=False).unwrapped for _ in range(2))
    watched.reset(seed=0)
    plain.reset(seed=0)
    rng = np.random.default_rng(0)
    for step in range(50):
        action = rng.uniform(-1, 1, 8)
        mujoco.mj_step(watched.model, watched.data)
        obs = watched.step(action)[0]
        assert np.array_equal(obs, plain.step(action)[0])
        if step == 20:
            state = watched.save_state()
            watched.load_state(state)
            _ = watched.data.qpos
        mujoco.mj_kinematics(watched.model, watched.data)
        assert watched.data.qpos[0] == watched.data.body("torso").xpos[0], "lasts until the next step"


def test_arrays_refuse_to_be_written():
    env = gym.make("diffreward/HalfCheetah-v5").unwrapped
    env.reset(seed=0)
    for array in (env.data.qpos, env.data.qvel, env.data.ctrl, env.data.xfrc_applied, env.model.body_mass,
                  env.model.geom_friction, env.model.opt.gravity, env.init_qpos, env.init_qvel):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0


def test_the_model_is_that_of_the_options():
    env = gym.make("diffreward/Hopper-v5", physics={"gravity": -1.6, "mass_scale": 2.0}, frame_skip=2).unwrapped
    plain = gym.make("diffreward/Hopper-v5").unwrapped
    assert env.model.opt.gravity[2] == -1.6
    assert np.array_equal(env.model.body_mass, 2 * plain.model.body_mass)
    assert env.frame_skip == 2
    assert env.dt == plain.dt / 2


def test_mujocos_renderer_draws_it():
    env = gym.make("diffreward/Hopper-v5").unwrapped
    env.reset(seed=0)
    scene = mujoco.MjvScene(env.model, 100)
    mujoco.mjv_updateScene(env.model, env.data, mujoco.MjvOption(), None, mujoco.MjvCamera(),
                           mujoco.mjtCatBit.mjCAT_ALL, scene)
    assert scene.ngeom == env.model.ngeom


def test_a_closed_robot_says_so_and_mazes_have_no_such_names():
    env = gym.make("diffreward/Hopper-v5").unwrapped
    env.reset(seed=0)
    env.close()
    with pytest.raises(gym.error.ClosedEnvironmentError):
        env.data  # noqa: B018
    for env_id in ("diffreward/Maze2DMuJoCo-UMaze-v0", "diffreward/PointMaze_UMaze-v3"):
        assert not hasattr(gym.make(env_id).unwrapped, "set_state")


# What Gymnasium's own tests of its robots demand, of ours.


@pytest.mark.parametrize("env_id", [env_id for env_id in ROBOTS if "Ant" not in env_id and "Humanoid" not in env_id])
def test_x_velocity_is_the_difference_of_positions(env_id):
    env = gym.make(env_id).unwrapped
    env.reset(seed=0)
    before = env.data.qpos[0]
    *_, info = env.step(env.action_space.sample())
    if "x_velocity" in info:
        assert (env.data.qpos[0] - before) / env.dt == info["x_velocity"]


@pytest.mark.parametrize("env_id", ["diffreward/Ant-v5", "diffreward/Ant-v4"])
def test_an_ants_velocity_is_its_torsos(env_id):
    env = gym.make(env_id).unwrapped
    env.reset(seed=0)
    before = env.get_body_com("torso")[:2]
    *_, info = env.step(env.action_space.sample())
    velocity = (env.get_body_com("torso")[:2] - before) / env.dt
    assert velocity.tolist() == [info["x_velocity"], info["y_velocity"]]


@pytest.mark.parametrize("env_id", ["diffreward/Humanoid-v5", "diffreward/Humanoid-v4"])
def test_a_humanoids_velocity_is_that_of_its_mass(env_id):
    env = gym.make(env_id).unwrapped
    env.reset(seed=0)

    def middle():
        mass = env.model.body_mass[:, None]
        return (np.sum(mass * env.data.xipos, axis=0) / np.sum(mass))[:2]

    before = middle()
    *_, info = env.step(env.action_space.sample())
    assert ((middle() - before) / env.dt).tolist() == [info["x_velocity"], info["y_velocity"]]


@pytest.mark.parametrize("env_id", [i for i in V5 if "Ant" in i or "Humanoid" in i or "Swimmer" in i])
def test_distance_from_origin(env_id):
    env = gym.make(env_id).unwrapped
    env.reset(seed=0)
    *_, info = env.step(env.action_space.sample())
    distance = np.linalg.norm(env.data.qpos[:2] - env.init_qpos[:2])  # whose sum of squares BLAS rounds as it likes
    assert info["distance_from_origin"] == pytest.approx(distance, rel=1e-15, abs=0)


@pytest.mark.parametrize("env_id", ROBOTS)
def test_without_noise_a_reset_is_the_initial_state(env_id):
    env = gym.make(env_id, reset_noise_scale=0).unwrapped
    env.reset()
    assert np.array_equal(env.data.qpos, env.init_qpos)
    assert np.array_equal(env.data.qvel, env.init_qvel)


@pytest.mark.parametrize("env_id", ROBOTS)
def test_a_reset_forgets_what_was_before(env_id):
    env = gym.make(env_id)
    env.reset(seed=1234)
    first = get_state(env, mujoco.mjtState.mjSTATE_INTEGRATION)
    env.step(env.action_space.sample())
    env.reset(seed=1234)
    assert np.array_equal(get_state(env, mujoco.mjtState.mjSTATE_INTEGRATION), first)


@pytest.mark.parametrize("env_id", V5)
@pytest.mark.parametrize("frame_skip", [1, 3])
@pytest.mark.filterwarnings("ignore")
def test_any_frame_skip(env_id, frame_skip):
    from gymnasium.utils.env_checker import check_env

    env = gym.make(env_id, frame_skip=frame_skip).unwrapped
    check_env(env, skip_render_check=True)
    assert env.dt == frame_skip * env.model.opt.timestep
