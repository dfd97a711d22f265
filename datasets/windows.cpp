#include "datasets/windows.h"

#include <algorithm>
#include <numeric>
#include <ranges>

#include "core/interrupt.h"

namespace diffreward {

Json WindowLayout::json() const {
  Json out = {{"horizon", horizon},
              {"stride", stride},
              {"action_dim", action_dim},
              {"observation_dim", observation_dim}};
  if (reached) out["reached"] = true;
  return out;
}

WindowLayout WindowLayout::from_json(const Json& json) {
  constexpr int kMostRows = 4096, kMostColumns = 65536;
  const auto size = [&](const char* name, int least, int most) {
    const int value = member<int>(json, name);
    require(value >= least && value <= most, name, ": expected ", least, " to ", most, ", found ", value);
    return value;
  };
  return {size("horizon", 1, kMostRows), size("stride", 1, kMostRows), size("action_dim", 0, kMostColumns),
          size("observation_dim", 1, kMostColumns),
          json.contains("reached") && member<bool>(json, "reached")};
}

WindowSampler::WindowSampler(Dataset data, WindowLayout layout, bool pad)
    : data_(std::move(data)), layout_(layout), pad_(pad) {
  require(layout.horizon >= 1 && layout.stride >= 1, "windows: expected a positive horizon and stride, got ",
          layout.horizon, " and ", layout.stride);
  require(layout.observation_dim == static_cast<int>(data_.observation_dim()), "windows: expected ",
          layout.observation_dim, " observation columns, got ", data_.observation_dim());
  require(layout.action_dim == 0 || layout.action_dim == static_cast<int>(data_.action_dim()),
          "windows: expected ", layout.action_dim, " action columns, got ", data_.action_dim());
  const std::size_t span = static_cast<std::size_t>(layout.horizon - 1) * layout.stride + 1;
  std::size_t longest = 0;
  first_.push_back(0);
  for (const Episode& episode : data_.episodes()) {
    longest = std::max(longest, episode.size());
    count_ += pad ? episode.size() : episode.size() >= span ? episode.size() - span + 1 : 0;
    first_.push_back(count_);
  }
  require(count_ > 0, "windows: expected an episode of at least ", span, " steps (horizon ", layout.horizon,
          ", stride ", layout.stride, "), the longest has ", longest,
          "; a lower horizon or stride, or pad, makes windows fit");
}

std::size_t WindowSampler::episode(std::size_t index) const {
  require(index < count_, "windows: expected an index below ", count_, ", got ", index);
  return static_cast<std::size_t>(std::upper_bound(first_.begin(), first_.end(), index) - first_.begin()) - 1;
}

std::size_t WindowSampler::row(std::size_t index) const {
  const std::size_t e = episode(index);
  return data_.episodes()[e].begin + (index - first_[e]);
}

void WindowSampler::copy(std::size_t index, std::span<float> out) const {
  require(out.size() == static_cast<std::size_t>(layout_.size()), "windows: expected room for ",
          layout_.size(), " numbers, got ", out.size());
  const std::size_t e = episode(index), begin = data_.episodes()[e].begin + (index - first_[e]);
  const std::size_t end = data_.episodes()[e].end;
  const std::size_t actions = static_cast<std::size_t>(layout_.action_dim);
  const std::size_t observations = static_cast<std::size_t>(layout_.observation_dim);
  float* to = out.data();
  for (std::size_t k = 0; k < static_cast<std::size_t>(layout_.horizon); ++k) {
    const std::size_t row = begin + k * static_cast<std::size_t>(layout_.stride);
    if (row < end) {
      if (actions) to = std::copy_n(data_.actions().data() + row * actions, actions, to);
      to = std::copy_n(data_.observations().data() + row * observations, observations, to);
      if (layout_.reached)
        to = std::copy_n(data_.next_observations().data() + row * observations, observations, to);
    } else {
      to = std::fill_n(to, actions, 0.0f);
      for (int part = 0; part < (layout_.reached ? 2 : 1); ++part)
        to = std::copy_n(data_.observations().data() + (end - 1) * observations, observations, to);
    }
  }
}

void WindowSampler::sample(Rng& rng, std::span<float> out) const {
  const auto size = static_cast<std::size_t>(layout_.size());
  require(out.size() % size == 0, "windows: expected room for whole windows of ", size, " numbers, got ",
          out.size());
  for (std::size_t at = 0; at < out.size(); at += size) copy(rng.below(count_), out.subspan(at, size));
}

EpisodeWindows::EpisodeWindows(const WindowSampler& windows, const std::vector<std::size_t>& episodes) {
  const auto all = std::views::iota(std::size_t{0}, windows.count());
  const auto first_of = [&](std::size_t episode) {
    const auto at =
        std::ranges::partition_point(all, [&](std::size_t i) { return windows.episode(i) < episode; });
    return static_cast<std::size_t>(at - all.begin());
  };
  for (const std::size_t episode : episodes) {
    begin_.push_back(first_of(episode));
    first_.push_back(first_.back() + first_of(episode + 1) - begin_.back());
  }
}

std::size_t EpisodeWindows::draw(Rng& rng) const {
  const std::size_t number = rng.below(count());
  const auto after = std::ranges::upper_bound(first_, number);
  const auto episode = static_cast<std::size_t>(after - first_.begin()) - 1;
  return begin_[episode] + number - first_[episode];
}

Split split_at_random(std::size_t n, double held_out, std::uint64_t seed) {
  require(held_out >= 0 && held_out < 1, "split: expected a share in [0, 1), got ", held_out);
  auto test = static_cast<std::size_t>(held_out * static_cast<double>(n) + 0.5);
  if (held_out > 0 && n > 1) test = std::clamp<std::size_t>(test, 1, n - 1);
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  Rng rng(Streams(Purpose::kSplit, seed)[0]);
  // std::shuffle is another one in every library.
  for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  Split split{{order.begin() + static_cast<std::ptrdiff_t>(test), order.end()},
              {order.begin(), order.begin() + static_cast<std::ptrdiff_t>(test)}};
  std::sort(split.train.begin(), split.train.end());
  std::sort(split.test.begin(), split.test.end());
  return split;
}

Split split_episodes(const Dataset& data, double held_out, std::uint64_t seed) {
  return split_at_random(data.episodes().size(), held_out, seed);
}

Dataset select_episodes(const Dataset& data, std::span<const std::size_t> episodes) {
  Dataset::Columns out;
  out.observation_dim = data.observation_dim();
  out.action_dim = data.action_dim();
  for (const std::string& name : data.info_names()) out.infos.push_back({name, data.info_dim(name), {}});
  const auto append = [](auto& to, auto from, const Episode& e, std::size_t width) {
    to.insert(to.end(), from.begin() + static_cast<std::ptrdiff_t>(e.begin * width),
              from.begin() + static_cast<std::ptrdiff_t>(e.end * width));
  };
  for (const std::size_t number : episodes) {
    check_interrupt();
    require(number < data.episodes().size(), "select: expected an episode below ", data.episodes().size(),
            ", got ", number);
    const Episode& e = data.episodes()[number];
    append(out.observations, data.observations(), e, out.observation_dim);
    append(out.next_observations, data.next_observations(), e, out.observation_dim);
    append(out.actions, data.actions(), e, out.action_dim);
    append(out.rewards, data.rewards(), e, 1);
    append(out.terminals, data.terminals(), e, 1);
    append(out.timeouts, data.timeouts(), e, 1);
    for (auto& info : out.infos) {
      append(info.values, data.info(info.name), e, info.size);
      if (const auto doubles = data.info_doubles(info.name); !doubles.empty())
        append(info.doubles, doubles, e, info.size);
    }
  }
  return Dataset::from_columns(std::move(out), data.provenance());
}

}  // namespace diffreward
