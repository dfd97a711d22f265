#include "agents/nets/ranks.h"

#include <torch/torch.h>

#define USE_C10D_GLOO  // which the wheel was built with
#include <c10/util/Logging.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <utility>

namespace diffreward {
namespace {

using Milliseconds = std::chrono::milliseconds;

constexpr int kMostRanks = 4096;
constexpr int kTimeout = 600;            // seconds
constexpr Milliseconds kRollCall{3000};  // that a rank which lost another waits to hear who lost it too

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

/// A number in [least, most]; nothing where the variable is not set.
std::optional<int> number(const char* name, int least, int most) {
  const std::string text = variable(name);
  if (text.empty()) return std::nullopt;
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require(error == std::errc{} && end == text.data() + text.size() && value >= least && value <= most, name,
          ": expected a number in [", least, ", ", most, "], found '", text, "'");
  return value;
}

template <class T>
T given(const char* name, const std::optional<T>& value, int size) {
  require(value.has_value(), name, ": expected it beside WORLD_SIZE ", size, ", found nothing");
  return *value;
}

std::vector<std::uint8_t> bytes_of(const std::string& text) {
  return {text.begin(), text.end()};
}

/// What an exception of LibTorch's or Gloo's says in one line, without the place in their sources and their advice.
std::string reason(const std::exception& error) {
  std::string text = error.what();
  text = text.substr(0, text.find('\n'));
  if (const auto place = text.find("] "); text.starts_with("[/") && place != text.npos)
    text.erase(0, place + 2);
  return text.substr(0, text.find(". "));
}

/// Where `a` and `b` differ first, by the names of members: "config.steps"; and both there.
struct Difference {
  std::string name;
  Json a, b;
};
std::optional<Difference> difference(const Json& a, const Json& b, const std::string& name = "") {
  if (a == b) return std::nullopt;
  if (a.is_object() && b.is_object()) {
    const auto at = [](const Json& of, const std::string& key) {
      return of.contains(key) ? of.at(key) : Json();
    };
    const std::string start = name.empty() ? "" : name + ".";
    for (const auto& [key, value] : a.items())
      if (auto found = difference(value, at(b, key), start + key)) return found;
    for (const auto& [key, value] : b.items())
      if (auto found = difference(at(a, key), value, start + key)) return found;
  }
  return Difference{name, a, b};
}

/// Of the interface that was named, of this machine alone where the master is, or the one that its host name stands for.
std::shared_ptr<gloo::transport::Device> device_for(const std::string& master) {
  using Gloo = c10d::ProcessGroupGloo;
  if (const std::string name = variable("GLOO_SOCKET_IFNAME"); !name.empty())
    return Gloo::createDeviceForInterface(name);
  if (master == "localhost" || master.starts_with("127.")) return Gloo::createDeviceForHostname("127.0.0.1");
  return Gloo::createDefaultDevice();
}

}  // namespace

struct Ranks::Group {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;  // until the end, before its store
};

Ranks::Ranks(int rank, int size, std::unique_ptr<Group> group)
    : rank_(rank), size_(size), group_(std::move(group)) {}
Ranks::~Ranks() = default;

int Ranks::count() {
  return number("WORLD_SIZE", 1, kMostRanks).value_or(1);
}

std::unique_ptr<Ranks> Ranks::from_environment() {
  const int size = count();
  if (size == 1) return nullptr;
  const int rank = given("RANK", number("RANK", 0, size - 1), size);
  const std::string master = variable("MASTER_ADDR");
  require(!master.empty(), "MASTER_ADDR: expected it beside WORLD_SIZE ", size, ", found nothing");
  const int port = given("MASTER_PORT", number("MASTER_PORT", 1, 65535), size);
  const int seconds = number("DIFFREWARD_RANK_TIMEOUT", 1, 1'000'000).value_or(kTimeout);
  const std::string place = concat(master, ":", port);
  static std::atomic<int> meetings = 0;
  const int meeting = meetings++;

  // Whoever loses a rank hears of it by one line of ours, not by LibTorch's log with its stack.
  ::setenv("TORCH_CPP_LOG_LEVEL", "FATAL", /*overwrite=*/0);
  c10::initLogging();
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(port);
  // torchrun's own process keeps the store of those that it starts, and that of those that it started before.
  const bool launched = variable("TORCHELASTIC_USE_AGENT_STORE") == "True";
  options.isServer = rank == 0 && !launched;
  options.numWorkers = static_cast<std::size_t>(size);
  options.waitWorkers = false;
  options.timeout = std::chrono::seconds(seconds);
  auto group = std::make_unique<Group>();
  try {
    group->store = c10::make_intrusive<c10d::TCPStore>(master, options);
  } catch (const std::exception& error) {
    const std::string_view text = error.what();
    if (options.isServer && text.find("EADDRINUSE") != text.npos)
      throw Error(concat("MASTER_PORT: expected a free port, found ", port, " taken"));
    throw Error(concat("MASTER_ADDR: expected rank 0 at ", place, " within ", seconds, " s, found none (",
                       reason(error), ")"));
  }
  if (launched)
    group->store = c10::make_intrusive<c10d::PrefixStore>(
        concat("diffreward/", variable("TORCHELASTIC_RESTART_COUNT"), "/", meeting), group->store);

  std::unique_ptr<Ranks> ranks(new Ranks(rank, size, std::move(group)));
  c10d::Store& store = *ranks->group_->store;
  std::vector<std::string> all;
  for (int r = 0; r < size; ++r) all.push_back(ranks->key("here", r));
  try {
    store.set(ranks->key("here", rank), bytes_of("yes"));
    store.wait(all, options.timeout);
  } catch (const std::exception& error) {
    std::string missing;
    try {
      for (int r = 0; r < size; ++r)
        if (!store.check({ranks->key("here", r)}))
          missing += concat(missing.empty() ? "none of rank " : ", ", r);
    } catch (const std::exception&) {
      missing = "rank 0 gone";
    }
    throw Error(concat("WORLD_SIZE: expected ", size, " ranks at ", place, " within ", seconds, " s, found ",
                       missing));
  }
  ranks->reach([&] {
    auto settings = c10d::ProcessGroupGloo::Options::create(options.timeout);
    settings->devices = {device_for(master)};
    ranks->group_->gloo =
        c10::make_intrusive<c10d::ProcessGroupGloo>(ranks->group_->store, rank, size, settings);
  });
  return ranks;
}

std::string Ranks::key(const std::string& name, int rank) const {
  return concat(name, "/", rank);
}

void Ranks::reach(const std::function<void()>& body) {
  std::string why;
  try {
    return body();
  } catch (const std::exception& error) {
    why = reason(error);
  }
  lose(why);
}

/// Whoever lost a rank says so in the store: who says nothing is the one.
void Ranks::lose(const std::string& why) {
  const auto end = std::chrono::steady_clock::now() + kRollCall;
  std::vector<int> silent;
  try {
    c10d::Store& store = *group_->store;
    store.set(key("lost", rank_), bytes_of("yes"));
    do {
      silent.clear();
      for (int r = 0; r < size_; ++r)
        if (!store.check({key("lost", r)})) silent.push_back(r);
      if (silent.empty()) break;
      std::this_thread::sleep_for(Milliseconds(50));
    } while (std::chrono::steady_clock::now() < end);
  } catch (const std::exception&) {
    silent = {0};  // with the store
  }
  std::string names;
  for (const int r : silent) names += concat(names.empty() ? "rank " : ", ", r);
  throw LostRank(concat("rank ", rank_, " of ", size_, ": ", names.empty() ? "another rank" : names,
                        " ended or is out of reach (", why, ")"));
}

std::vector<std::string> Ranks::texts(const std::string& mine) {
  const auto ranks = static_cast<std::size_t>(size_);
  torch::Tensor lengths = torch::empty({size_, 1}, torch::kLong);
  gather(torch::full({1}, static_cast<std::int64_t>(mine.size()), torch::kLong), lengths);
  const std::int64_t most = std::max<std::int64_t>(1, lengths.max().item<std::int64_t>());
  const torch::Tensor own = torch::zeros({most}, torch::kByte);
  std::ranges::copy(mine, own.data_ptr<std::uint8_t>());
  torch::Tensor all = torch::empty({size_, most}, torch::kByte);
  gather(own, all);
  std::vector<std::string> texts(ranks);
  for (std::size_t r = 0; r < ranks; ++r) {
    const auto* const begin = all.data_ptr<std::uint8_t>() + static_cast<std::int64_t>(r) * most;
    texts[r].assign(begin, begin + lengths.data_ptr<std::int64_t>()[r]);
  }
  return texts;
}

void Ranks::agree(const Json& on) {
  const std::vector<std::string> all = texts(on.dump());
  const Json first = parse_json(all[0], "rank 0");
  for (std::size_t r = 1; r < all.size(); ++r)
    if (const auto other = difference(first, parse_json(all[r], concat("rank ", r))))
      throw Error(concat("ranks: ", other->name, ": expected rank 0's ", brief(other->a), ", found ",
                         brief(other->b), " on rank ", r));
}

Json Ranks::of_first(const Json& mine) {
  return parse_json(texts(first() ? mine.dump() : "")[0], "rank 0");
}

void Ranks::copy_first(at::Tensor& tensor) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> whole = {tensor.detach().to(torch::kCPU).contiguous()};
  if (!first() && whole[0].is_same(tensor)) whole[0] = whole[0].clone();
  reach([&] { group_->gloo->broadcast(whole)->wait(); });
  if (!first()) tensor.copy_(whole[0]);
}

void Ranks::gather(const at::Tensor& mine, at::Tensor& all) {
  torch::Tensor from = mine.flatten(), to = all.view({-1});
  reach([&] { group_->gloo->_allgather_base(to, from)->wait(); });
}

void Ranks::exchange(const at::Tensor& mine, std::vector<std::int64_t> to, at::Tensor& all,
                     std::vector<std::int64_t> from) {
  torch::Tensor pieces = mine;
  reach([&] { group_->gloo->alltoall_base(all, pieces, from, to)->wait(); });
}

void Ranks::finish() {
  reach([&] { group_->gloo->barrier()->wait(); });
}

}  // namespace diffreward
