#include "datasets/dataset.h"

#include <algorithm>
#include <new>
#include <stdexcept>

#include "datasets/storage/d4rl_writer.h"
#include "datasets/storage/storage.h"

namespace diffreward {

std::filesystem::path find_data_file(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) return path;
  for (const char* inside : {"main_data.hdf5", "data/main_data.hdf5"})
    if (std::filesystem::exists(path / inside, ignored)) return path / inside;
  throw Error(concat(path.string(), ": expected a data set, found a folder without main_data.hdf5"));
}

Dataset Dataset::open(const std::filesystem::path& path) {
  const std::filesystem::path file = find_data_file(path);
  try {
    return Dataset(is_minari(file) ? open_minari(file) : open_d4rl(file));
  } catch (const std::bad_alloc&) {  // a damaged header can claim any size
    throw Error(concat(file.string(), ": expected columns that fit into memory, found larger ones"));
  } catch (const std::length_error&) {
    throw Error(concat(file.string(), ": expected columns that fit into memory, found larger ones"));
  }
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
    s->infos.push_back({info.name, info.size, keep(info.values)});
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
const std::vector<Episode>& Dataset::episodes() const {
  return storage_->episodes;
}
const Provenance& Dataset::provenance() const {
  return storage_->provenance;
}
const std::filesystem::path& Dataset::path() const {
  return storage_->path;
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

void Dataset::write_d4rl(const std::filesystem::path& path) const {
  std::vector<InfoField> infos;
  for (const Storage::InfoColumn& info : storage_->infos) infos.push_back({info.name, info.size});
  D4rlWriter writer(path, size(), observation_dim(), action_dim(), infos, provenance());
  writer.write("observations", 0, observations());
  writer.write("next_observations", 0, next_observations());
  writer.write("actions", 0, actions());
  writer.write("rewards", 0, rewards());
  writer.write("terminals", 0, terminals());
  writer.write("timeouts", 0, timeouts());
  for (const Storage::InfoColumn& info : storage_->infos) writer.write("infos/" + info.name, 0, info.values);
  writer.commit();
}

}  // namespace diffreward
