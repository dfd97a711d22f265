#include "envs/locomotion/mujoco_env.h"

#include <mujoco/mujoco.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "envs/rng_state.h"

namespace diffreward {
namespace {

constexpr int kState = mjSTATE_INTEGRATION;  // all that a step reads, the solver's warm start included

void check_size(const std::string& id, const char* what, std::size_t expected, std::size_t found) {
  require(expected == found, id, ": ", what, ": expected ", expected, " numbers, got ", found);
}

void check_finite(const std::string& id, const char* what, std::span<const double> values) {
  for (const double value : values)
    require(std::isfinite(value), id, ": ", what, ": expected finite numbers, got ", value);
}

}  // namespace

MujocoEnv::MujocoEnv(Setup setup)
    : setup_(std::move(setup)),
      model_(shared_mujoco_model(setup_.id, setup_.mjcf, setup_.total_mass, setup_.physics)),
      data_(make_mujoco_data(setup_.id, *model_)) {
  spec_.id = setup_.id;
  spec_.max_steps = kRobotSteps;
  spec_.seconds_per_step = model_->opt.timestep * setup_.frame_skip;
  for (int i = 0; i < model_->nu; ++i) {
    spec_.action.low.push_back(model_->actuator_ctrlrange[2 * i]);
    spec_.action.high.push_back(model_->actuator_ctrlrange[2 * i + 1]);
  }
  qpos_.resize(std::size_t(model_->nq));
  qvel_.resize(std::size_t(model_->nv));
}

void MujocoEnv::describe(std::size_t observation_size, std::vector<InfoField> info,
                         std::vector<std::span<double>> kept) {
  constexpr double kUnbounded = std::numeric_limits<double>::infinity();
  spec_.observation.low.assign(observation_size, -kUnbounded);
  spec_.observation.high.assign(observation_size, kUnbounded);
  spec_.info = std::move(info);
  info_.assign(spec_.info_size(), 0);
  kept_ = std::move(kept);
  spec_.state_size = std::size_t(mj_stateSize(model_.get(), kState)) + info_.size() + kRngNumbers;
  for (const std::span<double> part : kept_) spec_.state_size += part.size();
  std::ranges::copy(initial_qpos(), qpos_.begin());
  pose(qpos_, qvel_);
}

void MujocoEnv::set_references(double random_return, double expert_return) {
  spec_.random_return = random_return;
  spec_.expert_return = expert_return;
}

void MujocoEnv::begin(std::optional<Seed> seed, const ResetOptions& options, std::span<double> obs) {
  check_size(spec_.id, "observation", spec_.observation.size(), obs.size());
  if (!options.state.empty()) {
    restore(options.state);
    if (seed) rng_ = Rng(*seed);
    observe(obs);
    return;
  }
  if (seed) rng_ = Rng(*seed);
  const double scale = setup_.reset_noise_scale;
  for (std::size_t i = 0; i < qpos_.size(); ++i) qpos_[i] = initial_qpos()[i] + rng_.uniform(-scale, scale);
  for (double& v : qvel_)
    v = setup_.velocity_noise == VelocityNoise::kNormal ? scale * rng_.normal() : rng_.uniform(-scale, scale);
  mj_resetData(model_.get(), data_.get());
  place(qpos_, qvel_, obs);
}

StepResult MujocoEnv::step(std::span<const double> action, std::span<double> obs) {
  check_size(spec_.id, "action", spec_.action.size(), action.size());
  check_size(spec_.id, "observation", spec_.observation.size(), obs.size());
  check_finite(spec_.id, "action", action);
  const StepResult result = advance(action, info_);
  observe(obs);
  return result;
}

void MujocoEnv::state(std::span<double> out) const {
  check_size(spec_.id, "state", spec_.state_size, out.size());
  mj_getState(model_.get(), data_.get(), out.data(), kState);
  out = out.subspan(std::size_t(mj_stateSize(model_.get(), kState)));
  for (const std::span<const double> part : kept_) out = append(out, part);
  out = append(out, info_);
  write_rng(rng_, out.first<kRngNumbers>());
}

void MujocoEnv::set_state(std::span<const double> state, std::span<double> obs) {
  check_size(spec_.id, "observation", spec_.observation.size(), obs.size());
  restore(state);
  observe(obs);
}

void MujocoEnv::info(std::span<double> out) const {
  check_size(spec_.id, "info", info_.size(), out.size());
  append(out, info_);
}

std::vector<InfoField> MujocoEnv::recorded_fields() const {
  return {{"qpos", qpos().size()}, {"qvel", qvel().size()}};
}

void MujocoEnv::recorded(std::span<double> out) const {
  check_size(spec_.id, "recorded", qpos().size() + qvel().size(), out.size());
  append(append(out, qpos()), qvel());
}

Image MujocoEnv::render(int width, int height) const {
  if (!MujocoRenderer::available()) return draw_robot(*model_, *data_, setup_.view, width, height);
  if (!renderer_) renderer_ = shared_mujoco_renderer(spec_.id, setup_.mjcf);
  return renderer_->render(qpos(), setup_.camera, width, height);
}

std::span<const double> MujocoEnv::qpos() const {
  return {data_->qpos, std::size_t(model_->nq)};
}
std::span<const double> MujocoEnv::qvel() const {
  return {data_->qvel, std::size_t(model_->nv)};
}
std::span<const double> MujocoEnv::initial_qpos() const {
  return {model_->qpos0, std::size_t(model_->nq)};
}

void MujocoEnv::place(std::span<const double> qpos, std::span<const double> qvel, std::span<double> obs) {
  check_size(spec_.id, "qpos", std::size_t(model_->nq), qpos.size());
  check_size(spec_.id, "qvel", std::size_t(model_->nv), qvel.size());
  check_size(spec_.id, "observation", spec_.observation.size(), obs.size());
  check_finite(spec_.id, "qpos", qpos);
  check_finite(spec_.id, "qvel", qvel);
  pose(qpos, qvel);
  observe(obs);
}

Posture MujocoEnv::posture() const {
  constexpr int kTorso = 1;  // body 0 is the world
  const double* axes = data_->xmat + 9 * kTorso;
  Posture posture{.height = data_->xpos[3 * kTorso + 2], .pitch = std::atan2(axes[2], axes[8])};
  for (int i = 0; i < data_->ncon && !posture.contact; ++i) {
    const mjContact& contact = data_->contact[i];
    posture.contact = model_->geom_bodyid[contact.geom1] == 0 || model_->geom_bodyid[contact.geom2] == 0;
  }
  return posture;
}

void MujocoEnv::snapshot(mjData& out) const {
  require(out.nbuffer == data_->nbuffer && out.narena == data_->narena, spec_.id,
          ": snapshot: expected data of ", data_->nbuffer, " bytes and an arena of ", data_->narena, ", got ",
          out.nbuffer, " and ", out.narena);
  const mjModel* model = model_.get();
  mj_copyData(&out, model, data_.get());
  if (derived_ == Derived::kPose) return;
  if (derived_ == Derived::kStep) {
    mj_rnePostConstraint(model, &out);
    return;
  }
  mj_forward(model, &out);
  mj_rnePostConstraint(model, &out);
  std::vector<double> state(std::size_t(mj_stateSize(model, kState)));
  mj_getState(model, data_.get(), state.data(), kState);
  mj_setState(model, &out, state.data(), kState);  // mj_forward may have changed the warm start
  for (const std::span<const double> part : kept_) {
    const auto offset = reinterpret_cast<const char*>(part.data()) - static_cast<const char*>(data_->buffer);
    std::ranges::copy(part, reinterpret_cast<double*>(static_cast<char*>(out.buffer) + offset));
  }
}

void MujocoEnv::simulate(std::span<const double> action) {
  for (std::size_t i = 0; i < action.size(); ++i)
    data_->ctrl[i] = std::clamp(action[i], spec_.action.low[i], spec_.action.high[i]);
  for (int i = 0; i < setup_.frame_skip; ++i) mj_step(model_.get(), data_.get());
  derived_ = Derived::kStep;
  throw_on_mujoco_warning(spec_.id, *data_);
}

void MujocoEnv::compute_contact_forces() {
  mj_rnePostConstraint(model_.get(), data_.get());
}

void MujocoEnv::pose(std::span<const double> qpos, std::span<const double> qvel) {
  std::fill_n(data_->warning, mjNWARNING, mjWarningStat{});  // of an episode that failed
  std::ranges::copy(qpos, data_->qpos);
  std::ranges::copy(qvel, data_->qvel);
  mj_forward(model_.get(), data_.get());
  derived_ = Derived::kPose;
  throw_on_mujoco_warning(spec_.id, *data_);
  std::ranges::fill(info_, 0);
  reset_info(info_);
}

void MujocoEnv::restore(std::span<const double> state) {
  check_size(spec_.id, "state", spec_.state_size, state.size());
  check_finite(spec_.id, "state", state);
  rng_.set_state(read_rng(spec_.id, state.last<kRngNumbers>()));
  mj_resetData(model_.get(), data_.get());  // clears warnings of an episode that failed
  mj_setState(model_.get(), data_.get(), state.data(), kState);
  state = state.subspan(std::size_t(mj_stateSize(model_.get(), kState)));
  for (const std::span<double> part : kept_) {
    std::ranges::copy(state.first(part.size()), part.begin());
    state = state.subspan(part.size());
  }
  std::ranges::copy(state.first(info_.size()), info_.begin());
  derived_ = Derived::kState;
}

double sum_of_squares(std::span<const double> values) {
  // NumPy adds fewer than eight numbers one by one; else it keeps eight sums, and adds the rest at the end.
  double lanes[8] = {}, sum = 0;
  std::size_t i = 0;
  for (; i + 8 <= values.size(); i += 8)
    for (std::size_t k = 0; k < 8; ++k) lanes[k] += values[i + k] * values[i + k];
  if (i)
    sum = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
  for (; i < values.size(); ++i) sum += values[i] * values[i];
  return sum;
}

std::span<double> append(std::span<double> out, std::span<const double> values) {
  std::ranges::copy(values, out.begin());
  return out.subspan(values.size());
}

std::span<double> append(std::span<double> out, std::initializer_list<double> values) {
  return append(out, std::span(values.begin(), values.size()));
}

void append(std::vector<InfoField>& info, std::initializer_list<const char*> names) {
  for (const char* name : names) info.push_back({name, 1});
}

double survive_reward(bool healthy, int version, bool terminate_when_unhealthy, double healthy_reward) {
  return healthy || (version == 4 && terminate_when_unhealthy) ? healthy_reward : 0;
}

Interval::Interval(const std::string& name, const std::vector<double>& option) : low(0), high(0) {
  require(option.size() == 2 && option[0] <= option[1], name,
          ": expected two numbers, the lower one first, got ", option.size(), " numbers",
          option.size() == 2 ? " in falling order" : "");
  low = option[0];
  high = option[1];
}

}  // namespace diffreward
