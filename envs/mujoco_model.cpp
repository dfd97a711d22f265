#include "envs/mujoco_model.h"

#include <mujoco/mujoco.h>

#include <map>
#include <mutex>

#include "core/error.h"

namespace diffreward {
namespace {

std::shared_ptr<const mjModel> compile(const std::string& name, const std::string& mjcf, double total_mass) {
  char message[512] = "";
  const std::unique_ptr<mjSpec, decltype(&mj_deleteSpec)> spec(
      mj_parseXMLString(mjcf.c_str(), nullptr, message, sizeof message), mj_deleteSpec);
  if (!spec) throw Error(concat(name, ": MuJoCo cannot parse the model: ", message));
  mjModel* model = mj_compile(spec.get(), nullptr);
  if (!model) throw Error(concat(name, ": MuJoCo cannot compile the model: ", mjs_getError(spec.get())));
  const std::shared_ptr<mjModel> owner(model, mj_deleteModel);
  if (total_mass > 0) {
    mj_setTotalmass(model, total_mass);
    const auto data = make_mujoco_data(name, *model);
    mj_setConst(model, data.get());
  }
  return owner;
}

/// A copy of `model` with other physical parameters. It keeps `model` alive, so that the next copy needs no
/// compilation.
std::shared_ptr<const mjModel> altered(const std::string& name, const std::shared_ptr<const mjModel>& model,
                                       const PhysicsConfig& physics) {
  mjModel* const copy = mj_copyModel(nullptr, model.get());
  if (!copy) throw Error(concat(name, ": MuJoCo is out of memory for a model"));
  const std::shared_ptr<mjModel> owner(copy, [model](mjModel* altered) { mj_deleteModel(altered); });
  const auto scale = [](double* values, int n, double factor) {
    for (int i = 0; i < n; ++i) values[i] *= factor;
  };
  // Not when it is the default: models without gravity stay so.
  if (physics.gravity != PhysicsConfig{}.gravity) copy->opt.gravity[2] = physics.gravity;
  scale(copy->geom_friction, 3 * int(copy->ngeom), physics.friction_scale);
  scale(copy->dof_damping, int(copy->nv), physics.damping_scale);
  copy->opt.density *= physics.damping_scale;
  copy->opt.viscosity *= physics.damping_scale;
  if (physics.mass_scale != 1) {
    scale(copy->body_mass, int(copy->nbody), physics.mass_scale);
    scale(copy->body_inertia, 3 * int(copy->nbody), physics.mass_scale);
    const auto data = make_mujoco_data(name, *copy);
    mj_setConst(copy, data.get());  // what MuJoCo has derived from the masses
  }
  return owner;
}

void install_handlers() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (!mju_user_warning) mju_user_warning = [](const char*) {};
    if (!mju_user_error) mju_user_error = [](const char* text) { throw Error(concat("MuJoCo: ", text)); };
  });
}

/// The model of this key that some instance uses, else the one `make` gives.
template <class Make>
std::shared_ptr<const mjModel> shared(const std::string& key, const Make& make) {
  static std::map<std::string, std::weak_ptr<const mjModel>> models;
  if (const auto found = models.find(key); found != models.end())
    if (auto model = found->second.lock()) return model;
  std::erase_if(models, [](const auto& entry) { return entry.second.expired(); });
  auto model = make();
  models[key] = model;
  return model;
}

}  // namespace

std::shared_ptr<const mjModel> shared_mujoco_model(const std::string& name, const std::string& mjcf,
                                                   double total_mass, const PhysicsConfig& physics) {
  install_handlers();
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  const std::string key = concat(total_mass, " kg\n", mjcf);
  const auto plain = [&] { return shared(key, [&] { return compile(name, mjcf, total_mass); }); };
  if (physics == PhysicsConfig{}) return plain();
  return shared(concat(to_json(physics).dump(), "\n", key), [&] { return altered(name, plain(), physics); });
}

std::vector<std::byte> mujoco_model_bytes(const mjModel& model) {
  std::vector<std::byte> bytes(std::size_t(mj_sizeModel(&model)));
  mj_saveModel(&model, nullptr, bytes.data(), mjtSize(bytes.size()));
  return bytes;
}

std::unique_ptr<mjData, void (*)(mjData*)> make_mujoco_data(const std::string& name, const mjModel& model) {
  std::unique_ptr<mjData, void (*)(mjData*)> data(mj_makeData(&model), mj_deleteData);
  if (!data) throw Error(concat(name, ": MuJoCo is out of memory for the state of an environment"));
  return data;
}

void throw_on_mujoco_warning(const std::string& name, const mjData& data) {
  for (int i = 0; i < mjNWARNING; ++i)
    if (data.warning[i].number) [[unlikely]]
      throw Error(concat(name, ": MuJoCo: ", mju_warningText(i, std::size_t(data.warning[i].lastinfo))));
}

}  // namespace diffreward
