#include "rewards/image/judge/judge.h"

#include <torch/torch.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <utility>

#include "agents/device.h"
#include "agents/nets/efficient_net_torch.h"
#include "agents/nets/tensor_file_torch.h"
#include "core/format.h"
#include "core/hash.h"
#include "datasets/windows.h"
#include "rewards/image/evaluate/pixels.h"

namespace diffreward {
namespace {

constexpr std::int64_t kFeatures = EfficientNetLite0::kFeatures;
constexpr double kSmallest = 1e-6;  // deviation of a feature that counts as constant

void check(const ConceptLabels& labels, std::size_t pictures) {
  const std::size_t concepts = labels.concepts.size();
  require(concepts > 0, "labels: expected at least one concept, got none");
  require(labels.present.size() == pictures * concepts, "labels: expected ", pictures, " x ", concepts,
          ", got ", labels.present.size());
  require(labels.groups.empty() || labels.groups.size() == pictures, "groups: expected one a picture, ",
          pictures, ", or none, got ", labels.groups.size());
  for (const std::uint8_t value : labels.present)
    require(value <= 1, "labels: expected 0 or 1, got ", int(value));
}

/// Numbers of the pictures to fit on and of those held out.
std::pair<std::vector<std::int64_t>, std::vector<std::int64_t>> split(const ConceptLabels& labels,
                                                                      std::size_t pictures,
                                                                      const JudgeConfig& config) {
  std::map<std::size_t, std::vector<std::int64_t>> groups;
  for (std::size_t i = 0; i < pictures; ++i)
    groups[labels.groups.empty() ? i : labels.groups[i]].push_back(std::int64_t(i));
  std::vector<const std::vector<std::int64_t>*> order;
  for (const auto& [number, members] : groups) order.push_back(&members);
  const Split parts = split_at_random(order.size(), config.held_out, config.seed);
  std::pair<std::vector<std::int64_t>, std::vector<std::int64_t>> out;
  for (const auto& [numbers, rows] : {std::pair{&parts.train, &out.first}, {&parts.test, &out.second}})
    for (const std::size_t i : *numbers) rows->insert(rows->end(), order[i]->begin(), order[i]->end());
  for (auto* side : {&out.first, &out.second}) std::sort(side->begin(), side->end());
  return out;
}

std::vector<double> column(const torch::Tensor& scores, std::int64_t c) {
  const torch::Tensor own = scores.select(1, c).to(torch::kDouble).contiguous();
  return {own.data_ptr<double>(), own.data_ptr<double>() + own.numel()};
}

/// None where a label is missing.
std::optional<Estimate> auroc_of(const torch::Tensor& logits, const torch::Tensor& present, std::int64_t c,
                                 const BootstrapConfig& config) {
  const std::vector<double> scores = column(logits, c), label = column(present, c);
  Sample with, without;
  for (std::size_t i = 0; i < scores.size(); ++i) (label[i] > 0 ? with : without).values.push_back(scores[i]);
  if (with.values.empty() || without.values.empty()) return std::nullopt;
  return bootstrap_auroc(with, without, config);
}

torch::Tensor tensor_of(const ConceptLabels& labels) {
  const auto concepts = std::int64_t(labels.concepts.size());
  return torch::tensor(labels.present, torch::kByte).to(torch::kDouble).view({-1, concepts});
}

}  // namespace

struct ImageFeatures::Impl {
  EfficientNetLite0 net;
  std::string checksum;

  /// `rgb(i)`: the i-th of n pictures
  template <class Rgb>
  torch::Tensor of(std::int64_t n, int side, int batch, const Rgb& rgb) const {
    require(side >= 32 && side <= 4096 && batch >= 1,
            "features: expected a side of 32 to 4096 and a batch of ", "at least 1, got ", side, " and ",
            batch);
    const torch::NoGradGuard no_grad;
    std::vector<torch::Tensor> out = {torch::empty({0, kFeatures})};
    for (std::int64_t begin = 0; begin < n; begin += batch) {
      const std::int64_t count = std::min<std::int64_t>(batch, n - begin);
      const torch::Tensor bytes = torch::empty({count, side, side, 3}, torch::kByte);
      for (std::int64_t i = 0; i < count; ++i) {
        cv::Mat square(side, side, CV_8UC3, bytes[i].data_ptr());
        resized(rgb(begin + i), square.size()).copyTo(square);
      }
      const torch::Tensor found = net.features(
          bytes.to(net.parameters.device()).permute({0, 3, 1, 2}).to(torch::kFloat).contiguous());
      out.push_back(found.to(torch::kCPU));
      if (!out.back().isfinite().all().item<bool>())
        throw Error("features: expected finite numbers, found others: the weights are damaged");
    }
    return torch::cat(out);
  }
};

ImageFeatures::ImageFeatures(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ImageFeatures::~ImageFeatures() = default;

std::shared_ptr<const ImageFeatures> ImageFeatures::load(const std::filesystem::path& weights,
                                                         const std::string& device) {
  check_device(device);
  return std::make_shared<ImageFeatures>(std::unique_ptr<Impl>(
      new Impl{EfficientNetLite0::open(weights, torch::Device(device)), sha256_of(weights)}));
}

at::Tensor ImageFeatures::of(std::span<const Image> pictures, int side, int batch) const {
  return impl_->of(std::int64_t(pictures.size()), side, batch,
                   [&](std::int64_t i) { return pixels_of(pictures[std::size_t(i)]); });
}

at::Tensor ImageFeatures::of(const at::Tensor& pictures, int side, int batch) const {
  require(pictures.dim() == 4 && pictures.size(3) == 3 && pictures.scalar_type() == torch::kByte &&
              (pictures.numel() > 0 || pictures.size(0) == 0),
          "pictures: expected bytes [n, h, w, 3], got ", pictures.scalar_type(), " ", pictures.sizes());
  const torch::Tensor whole = pictures.to(torch::kCPU).contiguous();
  return impl_->of(whole.size(0), side, batch, [&](std::int64_t i) {
    return cv::Mat(int(whole.size(1)), int(whole.size(2)), CV_8UC3, whole[i].data_ptr());
  });
}

const std::string& ImageFeatures::checksum() const {
  return impl_->checksum;
}

struct Judge::Impl {
  std::shared_ptr<const ImageFeatures> trunk;
  JudgeConfig config;
  std::vector<std::string> concepts;
  torch::Tensor weight, bias, mean, deviation;  // [concepts, features], [concepts], [features] twice; double
  std::vector<std::optional<Estimate>> held_out;

  torch::Tensor standardised(const torch::Tensor& features) const {
    return (features.to(torch::kDouble) - mean) / deviation;
  }
  torch::Tensor logits(const torch::Tensor& features) const {
    return torch::linear(standardised(features), weight, bias);
  }

  /// Of the pictures whose features and labels these are.
  void fit(const torch::Tensor& features, const torch::Tensor& present) {
    for (std::size_t c = 0; c < concepts.size(); ++c) {
      const auto with = present.select(1, std::int64_t(c)).sum().item<std::int64_t>();
      require(with > 0 && with < present.size(0), "concept '", concepts[c],
              "': expected pictures with and without it among those fitted on, found ", with, " of ",
              present.size(0), " with it");
    }
    const torch::Tensor x = features.to(torch::kDouble);
    mean = x.mean(0);
    deviation = x.std(0, /*unbiased=*/false);
    deviation = deviation.masked_fill(deviation < kSmallest, 1);  // a constant says nothing
    const torch::Tensor z = standardised(features);
    weight = torch::zeros({present.size(1), kFeatures}, torch::kDouble).set_requires_grad(true);
    bias = torch::zeros({present.size(1)}, torch::kDouble).set_requires_grad(true);
    torch::optim::LBFGS optimizer({weight, bias}, torch::optim::LBFGSOptions(1)
                                                      .max_iter(config.iterations)
                                                      .tolerance_grad(1e-8)
                                                      .tolerance_change(1e-12)
                                                      .history_size(20)
                                                      .line_search_fn("strong_wolfe"));
    optimizer.step([&] {
      optimizer.zero_grad();
      const torch::Tensor mean_entropy =
          torch::binary_cross_entropy_with_logits(torch::linear(z, weight, bias), present, {}, {},
                                                  at::Reduction::Sum) /
          z.size(0);
      const torch::Tensor loss = mean_entropy + config.l2 / 2 * weight.square().sum();
      loss.backward();
      return loss;
    });
    weight = weight.detach();
    bias = bias.detach();
    if (!weight.isfinite().all().item<bool>() || !bias.isfinite().all().item<bool>())
      throw Error("judge: expected finite weights, found others; more l2 may help");
  }
};

Judge::Judge(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

Judge fit_judge(std::shared_ptr<const ImageFeatures> trunk, std::span<const Image> pictures,
                const ConceptLabels& labels, const JudgeConfig& config) {
  validate(config);
  check(labels, pictures.size());  // before the features, which take long
  const at::Tensor features = trunk->of(pictures, config.side, config.batch);
  return fit_judge(std::move(trunk), features, labels, config);
}

Judge fit_judge(std::shared_ptr<const ImageFeatures> trunk, const at::Tensor& features,
                const ConceptLabels& labels, const JudgeConfig& config) {
  validate(config);
  require(features.dim() == 2 && features.size(1) == kFeatures && features.is_floating_point(),
          "features: expected numbers [n, ", kFeatures, "], got ", features.scalar_type(), " ",
          features.sizes());
  const auto pictures = std::size_t(features.size(0));
  check(labels, pictures);
  const auto [fitted, aside] = split(labels, pictures, config);
  require(!fitted.empty(), "judge: expected pictures to be fitted on, found none of ", pictures);
  const torch::Tensor present = tensor_of(labels);
  auto judge = std::make_shared<Judge::Impl>();
  judge->trunk = std::move(trunk);
  judge->config = config;
  judge->concepts = labels.concepts;
  const torch::Tensor rows = torch::tensor(fitted), others = torch::tensor(aside, torch::kLong);
  judge->fit(features.index_select(0, rows), present.index_select(0, rows));
  const torch::Tensor logits = judge->logits(features.index_select(0, others)),
                      seen = present.index_select(0, others);
  for (std::size_t c = 0; c < labels.concepts.size(); ++c)
    judge->held_out.push_back(auroc_of(logits, seen, std::int64_t(c), config.bootstrap));
  return Judge(std::move(judge));
}

Judge Judge::load(const std::filesystem::path& weights, const std::filesystem::path& probe,
                  const std::string& device) {
  const Safetensors file = Safetensors::open(probe);
  const auto fail = [&](const std::string& what) { return Error(concat(probe.string(), ": ", what)); };
  if (file.metadata_at("kind") != kKind)
    throw fail(concat("metadata 'kind': expected ", kKind, ", found '", file.metadata_at("kind"), "'"));
  auto judge = std::make_shared<Impl>();
  judge->trunk = ImageFeatures::load(weights, device);
  if (file.metadata_at("trunk") != judge->trunk->checksum())
    throw fail(concat("metadata 'trunk': expected the checksum of ", weights.string(), ", ",
                      judge->trunk->checksum(), ", found '", file.metadata_at("trunk"), "'"));
  judge->config = read_entry(file, probe, "config", [](const Json& json) {
    JudgeConfig config;
    update(config, json);
    return config;
  });
  judge->concepts = read_entry(file, probe, "concepts",
                               [](const Json& json) { return json.get<std::vector<std::string>>(); });
  judge->held_out = read_entry(file, probe, "held_out", [](const Json& json) {
    std::vector<std::optional<Estimate>> out;
    for (const Json& row : json) {
      out.emplace_back();
      if (!row.is_null())
        out.back() = Estimate{row.at("value").get<double>(), row.at("low").get<double>(),
                              row.at("high").get<double>()};
    }
    return out;
  });
  const auto concepts = std::int64_t(judge->concepts.size());
  if (judge->held_out.size() != judge->concepts.size())
    throw fail(
        concat("metadata 'held_out': expected ", concepts, " entries, found ", judge->held_out.size()));
  const auto read = [&](const char* name, std::vector<std::int64_t> shape) {
    const TensorBytes& found = file.at(name);
    if (found.dtype != "F64" || found.shape != shape)
      throw fail(concat("tensor '", name, "': expected F64 ", at::IntArrayRef(shape), ", found ", found.dtype,
                        " ", at::IntArrayRef(found.shape)));
    return tensor_from(found, concat(probe.string(), ": tensor '", name, "'"));
  };
  judge->weight = read("weight", {concepts, kFeatures});
  judge->bias = read("bias", {concepts});
  judge->mean = read("mean", {kFeatures});
  judge->deviation = read("deviation", {kFeatures});
  if (!(judge->deviation > 0).all().item<bool>())
    throw fail("tensor 'deviation': expected positive numbers, found others");
  return Judge(std::move(judge));
}

void Judge::save(const std::filesystem::path& probe) const {
  Json held_out = Json::array();
  for (const std::optional<Estimate>& estimate : impl_->held_out)
    held_out.push_back(estimate ? estimate->json() : Json());
  save_tensors(probe,
               {{"weight", impl_->weight},
                {"bias", impl_->bias},
                {"mean", impl_->mean},
                {"deviation", impl_->deviation}},
               {{"kind", kKind},
                {"trunk", impl_->trunk->checksum()},
                {"config", to_json(impl_->config).dump()},
                {"concepts", Json(impl_->concepts).dump()},
                {"held_out", held_out.dump()}});
}

const std::vector<std::string>& Judge::concepts() const {
  return impl_->concepts;
}
const JudgeConfig& Judge::config() const {
  return impl_->config;
}
const std::vector<std::optional<Estimate>>& Judge::held_out() const {
  return impl_->held_out;
}

std::string Judge::report() const {
  std::string lines;
  for (std::size_t c = 0; c < impl_->concepts.size(); ++c) {
    const std::optional<Estimate>& found = impl_->held_out[c];
    lines += concat(
        printable(impl_->concepts[c]), ": ",
        found ? concat("AUROC ", format_estimate(*found), " held out") : "nothing held out to tell", "\n");
  }
  return lines;
}

at::Tensor Judge::logits(std::span<const Image> pictures) const {
  return impl_->logits(impl_->trunk->of(pictures, impl_->config.side, impl_->config.batch));
}
at::Tensor Judge::logits(const at::Tensor& pictures) const {
  return impl_->logits(impl_->trunk->of(pictures, impl_->config.side, impl_->config.batch));
}
at::Tensor Judge::probabilities(std::span<const Image> pictures) const {
  return logits(pictures).sigmoid();
}
at::Tensor Judge::probabilities(const at::Tensor& pictures) const {
  return logits(pictures).sigmoid();
}

std::vector<Estimate> Judge::auroc(std::span<const Image> pictures, const ConceptLabels& labels,
                                   const BootstrapConfig& bootstrap) const {
  check(labels, pictures.size());
  require(labels.concepts == impl_->concepts, "labels: expected the judge's ", impl_->concepts.size(),
          " concepts in their order, got ", Json(labels.concepts).dump());
  const torch::Tensor scores = logits(pictures), present = tensor_of(labels);
  std::vector<Estimate> out;
  for (std::size_t c = 0; c < impl_->concepts.size(); ++c) {
    const std::optional<Estimate> found = auroc_of(scores, present, std::int64_t(c), bootstrap);
    require(found.has_value(), "concept '", impl_->concepts[c],
            "': expected pictures with and without it, found only one kind");
    out.push_back(*found);
  }
  return out;
}

}  // namespace diffreward
