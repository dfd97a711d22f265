#include "rewards/nearest/nearest.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "core/error.h"
#include "core/safetensors.h"

namespace diffreward {
namespace {

std::vector<int> all_channels(const WindowLayout& layout) {
  std::vector<int> channels(static_cast<std::size_t>(layout.width()));
  std::iota(channels.begin(), channels.end(), 0);
  return channels;
}

}  // namespace

NearestReward::NearestReward(WindowLayout layout, Normalizer normalizer, std::vector<int> channels,
                             std::vector<float> rows)
    : layout_(layout),
      normalizer_(std::move(normalizer)),
      channels_(std::move(channels)),
      rows_(std::move(rows), channels_.size()) {
  layout_.horizon = layout_.stride = 1;
  require(normalizer_.columns() == static_cast<std::size_t>(layout_.width()), "normalizer: expected ",
          layout_.width(), " columns, found ", normalizer_.columns());
  for (const int channel : channels_)
    require(channel >= 0 && channel < layout_.width(), "channels: expected columns below ", layout_.width(),
            ", got ", channel);
}

Reads NearestReward::reads() const {
  const auto is_action = [&](int channel) { return channel < layout_.action_dim; };
  return std::ranges::any_of(channels_, is_action) ? Reads::kStateAction : Reads::kReached;
}

void NearestReward::score(std::span<const float> windows, std::span<float> out) const {
  const auto width = static_cast<std::size_t>(layout_.width());
  require(windows.size() == out.size() * width, "score: expected ", out.size(), " rows of ", width,
          " numbers, got ", windows.size(), " numbers");
  std::vector<float> query(channels_.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    for (std::size_t k = 0; k < query.size(); ++k) {
      const auto c = static_cast<std::size_t>(channels_[k]);
      query[k] =
          static_cast<float>((windows[i * width + c] - normalizer_.offset()[c]) / normalizer_.scale()[c]);
    }
    out[i] = -rows_.distance(query, 1);
  }
}

void NearestReward::save(const std::filesystem::path& path) const {
  const std::vector<float>& rows = rows_.points();
  const TensorBytes bytes{"F32",
                          {static_cast<std::int64_t>(rows_.size()), static_cast<std::int64_t>(rows_.dim())},
                          std::as_bytes(std::span(rows))};
  write_safetensors(path, {{"rows", bytes}},
                    {{"kind", kKind},
                     {"layout", layout_.json().dump()},
                     {"normalizer", normalizer_.json().dump()},
                     {"channels", Json(channels_).dump()}});
}

std::shared_ptr<NearestReward> NearestReward::load(const std::filesystem::path& path, const std::string&) {
  const Safetensors file = Safetensors::open(path);
  if (file.metadata_at("kind") != kKind)
    throw Error(concat(path.string(), ": metadata 'kind': expected ", kKind, ", found '",
                       file.metadata_at("kind"), "'"));
  const TensorBytes& found = file.at("rows");
  if (found.dtype != "F32" || found.shape.size() != 2)
    throw Error(concat(path.string(), ": tensor 'rows': expected F32 [n, channels], found ", found.dtype, " ",
                       brief(found.shape)));
  std::vector<float> rows(found.bytes.size() / sizeof(float));
  if (!rows.empty()) std::memcpy(rows.data(), found.bytes.data(), found.bytes.size());
  const auto channels = read_entry(file, path, "channels", [&](const Json& json) {
    auto list = json.get<std::vector<int>>();
    require(list.size() == static_cast<std::size_t>(found.shape[1]), "expected ", found.shape[1],
            " columns, found ", list.size());
    return list;
  });
  const WindowLayout layout = read_entry(file, path, "layout", WindowLayout::from_json);
  Normalizer normalizer = read_entry(file, path, "normalizer", Normalizer::from_json);
  try {
    return std::make_shared<NearestReward>(layout, std::move(normalizer), channels, std::move(rows));
  } catch (const InvalidArgument& error) {
    throw Error(concat(path.string(), ": ", error.what()));
  }
}

std::shared_ptr<NearestReward> fit_nearest(const WindowModel& like, const WindowSource& source,
                                           const ExtractConfig& config, const std::filesystem::path& folder) {
  validate(config);
  const std::vector<int> channels = config.channels.empty() ? all_channels(like.layout()) : config.channels;
  const auto width = static_cast<std::size_t>(like.layout().width());
  const std::int64_t rows_of_window = source.shape()[0];
  for (const int channel : channels)
    require(channel >= 0 && channel < like.layout().width(), "channels: expected columns below ", width,
            ", got ", channel);
  Rng rng(Streams(Purpose::kExtraction, config.seed)[0]);
  std::vector<float> window(static_cast<std::size_t>(rows_of_window) * width), rows;
  for (int i = 0; i < config.support_points; ++i) {
    source.draw(Side::kExpert, Part::kTrain, rng, window);
    const float* row = window.data() + rng.below(static_cast<std::uint64_t>(rows_of_window)) * width;
    for (const int channel : channels) rows.push_back(row[channel]);
  }
  auto reward = std::make_shared<NearestReward>(like.layout(), like.normalizer(), channels, std::move(rows));
  if (!folder.empty()) reward->save(folder / "reward.safetensors");
  return reward;
}

}  // namespace diffreward
