#include "datasets/dataset.h"

#include <sys/mman.h>

#include <algorithm>
#include <limits>

#include "core/interrupt.h"
#include "datasets/shards.h"
#include "datasets/storage/d4rl_writer.h"
#include "datasets/storage/storage.h"

namespace diffreward {

namespace {

namespace fs = std::filesystem;

constexpr int kDeepest = 8;                    // folders below the one that is searched
constexpr std::size_t kMostEntries = 100'000;  // looked at in a search
constexpr std::size_t kListed = 8;             // data sets named in a message

/// The data sets in a folder that no fixed name tells.
std::vector<fs::path> search(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code failed;
  std::size_t looked = 0;
  const auto options = fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator at(folder, options, failed), end; !failed && at != end;
       at.increment(failed)) {
    check_interrupt();
    if (++looked > kMostEntries)
      throw Error(concat(folder.string(), ": expected a folder with a data set, found more than ",
                         kMostEntries, " files in it: name the data set itself"));
    const std::string name = at->path().filename().string(), extension = at->path().extension().string();
    std::error_code ignored;
    if (at->is_directory(ignored)) {
      if (name.starts_with('.') || at.depth() >= kDeepest) at.disable_recursion_pending();
    } else if (name == "main_data.hdf5" ||
               (at.depth() == 0 && (extension == ".hdf5" || extension == ".h5"))) {
      found.push_back(at->path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

std::string Provenance::note(const char* name) const {
  const Json found = extra.value(name, Json());
  return found.is_string() ? found.get<std::string>() : "";
}

int Provenance::episode_steps() const {
  const Json found = extra.value("episode_steps", Json());
  const bool fits = found.is_number_integer() && found > 0 && found <= std::numeric_limits<int>::max();
  return fits ? found.get<int>() : 0;
}

fs::path find_data_file(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return path;
  for (const char* inside : {"data.hdf5", "main_data.hdf5", "data/main_data.hdf5", ShardFolder::kPlan})
    if (fs::exists(path / inside, ignored)) return path / inside;
  const std::vector<fs::path> found = search(path);
  if (found.size() == 1) return found[0];
  if (found.empty())
    throw Error(concat(path.string(),
                       ": expected a data set (*.hdf5, *.h5 or Minari's), found a folder without one"));
  std::string names;
  for (std::size_t i = 0; i < std::min(found.size(), kListed); ++i)
    names += (i ? ", " : "") + found[i].lexically_relative(path).string();
  throw Error(concat(path.string(), ": expected one data set, found ", found.size(), ": ", names,
                     found.size() > kListed ? ", ..." : "", ": name one of them"));
}

Dataset Dataset::open(const fs::path& path) {
  const fs::path file = find_data_file(path);
  return Dataset(ShardFolder::is_plan(file) ? open_shards(file) : open_storage(file));
}

Dataset Dataset::from_columns(Columns columns, Provenance provenance) {
  auto s = std::make_shared<Storage>();
  s->observation_dim = columns.observation_dim;
  s->action_dim = columns.action_dim;
  require(columns.observation_dim > 0, "columns: expected observation_dim >= 1, got 0");
  s->rows = columns.observations.size() / columns.observation_dim;
  const auto check = [&](const char* name, std::size_t size, std::size_t width) {
    require(size == s->rows * width, "columns: ", name, ": expected ", s->rows, " rows of ", width, ", got ",
            size, " numbers");
  };
  check("observations", columns.observations.size(), columns.observation_dim);
  check("next_observations", columns.next_observations.size(), columns.observation_dim);
  check("actions", columns.actions.size(), columns.action_dim);
  check("rewards", columns.rewards.size(), 1);
  check("terminals", columns.terminals.size(), 1);
  check("timeouts", columns.timeouts.size(), 1);
  const auto keep = [&](std::vector<float>& values) -> std::span<const float> {
    return s->floats.emplace_back(std::move(values));
  };
  s->observations = keep(columns.observations);
  s->next_observations = keep(columns.next_observations);
  s->actions = keep(columns.actions);
  s->rewards = keep(columns.rewards);
  s->terminals = s->bytes.emplace_back(std::move(columns.terminals));
  s->timeouts = s->bytes.emplace_back(std::move(columns.timeouts));
  for (Columns::Info& info : columns.infos) {
    check(info.name.c_str(), info.values.size(), info.size);
    if (!info.doubles.empty()) check(info.name.c_str(), info.doubles.size(), info.size);
    s->infos.push_back(
        {info.name, info.size, keep(info.values), s->doubles.emplace_back(std::move(info.doubles))});
  }
  s->provenance = std::move(provenance);
  s->find_episodes();
  return Dataset(std::move(s));
}

std::size_t Dataset::size() const {
  return storage_->rows;
}
std::size_t Dataset::observation_dim() const {
  return storage_->observation_dim;
}
std::size_t Dataset::action_dim() const {
  return storage_->action_dim;
}
std::span<const float> Dataset::observations() const {
  return storage_->observations;
}
std::span<const float> Dataset::next_observations() const {
  return storage_->next_observations;
}
std::span<const float> Dataset::actions() const {
  return storage_->actions;
}
std::span<const float> Dataset::rewards() const {
  return storage_->rewards;
}
std::span<const std::uint8_t> Dataset::terminals() const {
  return storage_->terminals;
}
std::span<const std::uint8_t> Dataset::timeouts() const {
  return storage_->timeouts;
}
const std::vector<std::string>& Dataset::ignored() const {
  return storage_->ignored;
}
const std::vector<Episode>& Dataset::episodes() const {
  return storage_->episodes;
}
const Provenance& Dataset::provenance() const {
  return storage_->provenance;
}
const std::filesystem::path& Dataset::path() const {
  return storage_->path;
}

void Dataset::release_pages() const {
  for (const Storage::Mapping& mapping : storage_->mappings)
    if (mapping.size > 0) ::madvise(const_cast<void*>(mapping.memory.get()), mapping.size, MADV_DONTNEED);
}

std::vector<std::string> Dataset::info_names() const {
  std::vector<std::string> names;
  for (const Storage::InfoColumn& info : storage_->infos) names.push_back(info.name);
  return names;
}

bool Dataset::has_info(const std::string& name) const {
  return std::any_of(storage_->infos.begin(), storage_->infos.end(),
                     [&](const auto& info) { return info.name == name; });
}

namespace {

const Dataset::Storage::InfoColumn& find_info(const Dataset::Storage& storage, const std::string& name) {
  std::vector<std::string> names;
  for (const auto& info : storage.infos) {
    if (info.name == name) return info;
    names.push_back(info.name);
  }
  throw Error(concat(storage.path.string(), ": ", unknown_name("info column", name, names)));
}

}  // namespace

std::size_t Dataset::info_dim(const std::string& name) const {
  return find_info(*storage_, name).size;
}
std::span<const float> Dataset::info(const std::string& name) const {
  return find_info(*storage_, name).values;
}

std::span<const double> Dataset::info_doubles(const std::string& name) const {
  return find_info(*storage_, name).doubles;
}

void Dataset::write_d4rl(const std::filesystem::path& path) const {
  std::vector<InfoField> infos, doubles;
  for (const Storage::InfoColumn& info : storage_->infos)
    (info.doubles.empty() ? infos : doubles).push_back({info.name, info.size});
  D4rlWriter writer(path, size(), observation_dim(), action_dim(), infos, doubles, provenance());
  writer.write("observations", 0, observations());
  writer.write("next_observations", 0, next_observations());
  writer.write("actions", 0, actions());
  writer.write("rewards", 0, rewards());
  writer.write("terminals", 0, terminals());
  writer.write("timeouts", 0, timeouts());
  for (const Storage::InfoColumn& info : storage_->infos)
    info.doubles.empty() ? writer.write("infos/" + info.name, 0, info.values)
                         : writer.write("infos/" + info.name, 0, info.doubles);
  writer.commit();
}

}  // namespace diffreward
