#include "rewards/relative/relative_reward.h"

#include <torch/torch.h>

#include <cmath>
#include <utility>

#include "core/error.h"
#include "rewards/guides.h"
#include "rewards/relative/relative_reward_torch.h"

namespace diffreward {
namespace {

Json report_json(const std::vector<FieldReport>& report) {
  Json out = Json::array();
  for (const FieldReport& at : report) out.push_back(at.json());
  return out;
}

std::vector<FieldReport> report_from(const Json& json) {
  std::vector<FieldReport> out;
  for (const Json& at : json) out.push_back(FieldReport::from_json(at));
  return out;
}

/// A float matrix of a file as numbers. Throws Error naming the file and the tensor.
std::vector<float> floats(const Safetensors& file, const std::filesystem::path& path,
                          const std::string& name) {
  const TensorBytes& found = file.at(name);
  if (found.dtype != "F32")
    throw Error(concat(path.string(), ": tensor '", name, "': expected F32, found ", found.dtype));
  const torch::Tensor values = tensor_from(found, concat(path.string(), ": tensor '", name, "'"));
  return {values.data_ptr<float>(), values.data_ptr<float>() + values.numel()};
}

}  // namespace

Json FieldReport::json() const {
  return {{"t", t},
          {"difference_rms", difference_rms},
          {"read_share", read_share},
          {"conservativeness", conservativeness},
          {"ceiling", ceiling}};
}

FieldReport FieldReport::from_json(const Json& json) {
  return {member<int>(json, "t"), member<double>(json, "difference_rms"), member<double>(json, "read_share"),
          member<double>(json, "conservativeness"), member<double>(json, "ceiling")};
}

RelativeReward::RelativeReward(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RelativeReward::~RelativeReward() = default;

std::shared_ptr<RelativeReward> RelativeReward::load(const std::filesystem::path& path,
                                                     const std::string& device) {
  const Safetensors file = Safetensors::open(path);
  WindowReward windows(file, path, kKind, device);
  auto rms = read_entry(file, path, "difference_rms",
                        [](const Json& json) { return json.get<std::vector<double>>(); });
  if (rms.size() != static_cast<std::size_t>(windows.schedule.timesteps))
    throw Error(concat(path.string(), ": metadata 'difference_rms': expected ", windows.schedule.timesteps,
                       " numbers, found ", rms.size()));
  auto report = read_entry(file, path, "field_report", report_from);
  const auto base = read_entry(file, path, "base_statistics", [](const Json& json) {
    return BaseStatistics{member<double>(json, "mean"), member<double>(json, "deviation"),
                          member<double>(json, "q99"), member<double>(json, "log_mean_exp")};
  });
  const auto fallen = read_entry(file, path, "fallen", [](const Json& json) {
    return json.is_null() ? std::optional<Fallen>()
                          : Fallen{member<double>(json, "expert"), member<double>(json, "base")};
  });
  try {
    SupportModel support(KdTree(floats(file, path, "support.rows"), windows.channels.size()),
                         floats(file, path, "support.held_out"));
    return std::make_shared<RelativeReward>(std::make_unique<Impl>(
        Impl{std::move(windows), std::move(rms), std::move(report), base, fallen, std::move(support)}));
  } catch (const InvalidArgument& error) {
    throw Error(concat(path.string(), ": ", error.what()));
  }
}

void RelativeReward::save(const std::filesystem::path& path) const {
  NamedTensors tensors;
  std::map<std::string, std::string> metadata;
  impl_->windows.add_to(tensors, metadata, kKind);
  const KdTree& rows = impl_->support.rows();
  tensors["support.rows"] = torch::tensor(rows.points()).view({-1, static_cast<std::int64_t>(rows.dim())});
  tensors["support.held_out"] = torch::tensor(impl_->support.held_out());
  metadata["difference_rms"] = Json(impl_->difference_rms).dump();
  metadata["field_report"] = report_json(impl_->report).dump();
  metadata["base_statistics"] = Json{
      {"mean", impl_->base.mean},
      {"deviation", impl_->base.deviation},
      {"q99", impl_->base.q99},
      {"log_mean_exp",
       impl_->base.log_mean_exp}}.dump();
  metadata["fallen"] =
      (impl_->fallen ? Json{{"expert", impl_->fallen->expert}, {"base", impl_->fallen->base}} : Json())
          .dump();
  save_tensors(path, tensors, metadata);
}

const ExtractConfig& RelativeReward::config() const {
  return impl_->windows.config;
}
const Normalizer& RelativeReward::normalizer() const {
  return impl_->windows.normalizer;
}
const WindowLayout& RelativeReward::sample_layout() const {
  return impl_->windows.sample;
}
const WindowLayout& RelativeReward::layout() const {
  return impl_->windows.layout;
}
Reads RelativeReward::reads() const {
  return impl_->windows.reads;
}
int RelativeReward::timesteps() const {
  return impl_->windows.schedule.timesteps;
}
const std::vector<FieldReport>& RelativeReward::field_report() const {
  return impl_->report;
}
const RelativeReward::BaseStatistics& RelativeReward::base_statistics() const {
  return impl_->base;
}
const std::optional<RelativeReward::Fallen>& RelativeReward::fallen() const {
  return impl_->fallen;
}
Json& RelativeReward::provenance() {
  return impl_->windows.provenance;
}
const Json& RelativeReward::provenance() const {
  return impl_->windows.provenance;
}

double RelativeReward::difference_rms(int t) const {
  require(t >= 0 && t < timesteps(), "difference_rms: expected a timestep below ", timesteps(), ", got ", t);
  return impl_->difference_rms[static_cast<std::size_t>(t)];
}

double RelativeReward::unit(int t) const {
  const double rms = difference_rms(t);
  return config().normalize_targets ? rms : 1;
}

double RelativeReward::nats_per_unit(int t) const {
  require(t >= 0 && t < timesteps(), "nats_per_unit: expected a timestep below ", timesteps(), ", got ", t);
  return diffreward::nats_per_unit(config(), impl_->windows.schedule, impl_->difference_rms, t);
}

double nats_per_unit(const ExtractConfig& config, const NoiseSchedule& schedule,
                     std::span<const double> difference_rms, int t) {
  const auto level = static_cast<std::size_t>(t);
  const double beta = schedule.beta[level];
  return (config.normalize_targets ? difference_rms[level] : 1) * std::sqrt(1 - beta) / beta;
}

at::Tensor RelativeReward::value(const at::Tensor& x, const at::Tensor& t) const {
  return impl_->windows.value(x, t);
}
at::Tensor RelativeReward::gradient(const at::Tensor& x, const at::Tensor& t) const {
  return impl_->windows.gradient(x, t);
}

void RelativeReward::score(std::span<const float> windows, std::span<float> out) const {
  impl_->windows.score(config().read_t, windows, out);
}
void RelativeReward::score_at(int t, std::span<const float> windows, std::span<float> out) const {
  impl_->windows.score(t, windows, out);
}

void RelativeReward::support(std::span<const float> windows, std::span<float> out) const {
  const std::size_t n = impl_->windows.count(windows, out.size());
  const std::vector<float> read = impl_->windows.read(windows, /*clip=*/false);
  const std::size_t size = n == 0 ? 0 : read.size() / n;
  for (std::size_t i = 0; i < n; ++i)
    out[i] = static_cast<float>(impl_->support.p_value(std::span(read).subspan(i * size, size)));
}

std::shared_ptr<const Guide> log_ratio_guide(std::shared_ptr<const RelativeReward> reward) {
  std::vector<double> nats;
  for (int t = 0; t < reward->timesteps(); ++t) nats.push_back(reward->nats_per_unit(t));
  return scaled_guide(std::move(reward), nats);
}

}  // namespace diffreward
