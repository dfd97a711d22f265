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

}  // namespace

std::shared_ptr<const mjModel> shared_mujoco_model(const std::string& name, const std::string& mjcf,
                                                   double total_mass) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<const mjModel>> models;
  const std::string key = concat(total_mass, " kg\n", mjcf);
  const std::lock_guard lock(mutex);
  if (auto model = models[key].lock()) return model;
  std::erase_if(models, [](const auto& entry) { return entry.second.expired(); });
  auto model = compile(name, mjcf, total_mass);
  models[key] = model;
  return model;
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
