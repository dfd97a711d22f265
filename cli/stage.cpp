#include "cli/stage.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <optional>
#include <set>

#include "agents/arithmetic.h"
#include "agents/nets/ranks.h"
#include "agents/trained.h"
#include "cli/command.h"
#include "cli/toml.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/progress.h"
#include "core/provenance.h"
#include "datasets/dataset.h"
#include "datasets/shards.h"
#include "envs/fingerprint.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRecord = "stage.json";
constexpr const char* kConfig = "config.toml";
constexpr const char* kUnfinished = "unfinished";
constexpr const char *kKept = "kept", *kBegun = "begun";  // what rank 0 tells the others
constexpr const char* kData = "data";                     // StageInput::product of data sets

/// Holds a folder for one process; the lock goes with the process, however it ends.
class FolderLock {
 public:
  explicit FolderLock(const fs::path& folder) {
    file_ = ::open((folder / ".lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
    if (file_ < 0) throw Error(concat(folder.string(), ": cannot write in this folder"));
    if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
      ::close(file_);
      throw Error(concat(folder.string(), ": another run is writing in this folder"));
    }
  }
  ~FolderLock() { ::close(file_); }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int file_;
};

struct Product {
  std::uintmax_t bytes;
  std::string sha256;
};
using Products = std::map<std::string, Product>;

/// The record of a stage: of a finished one with result and products, else only with its key.
struct Record {
  Json json;
  Products products;

  const Json& key() const { return json.at("key"); }
  bool finished() const { return json.contains("result"); }

  /// Nothing where there is no file. Throws Error naming it where it is not a record.
  static std::optional<Record> read(const fs::path& folder) {
    const fs::path file = folder / kRecord;
    std::error_code ignored;
    if (!fs::exists(fs::symlink_status(file, ignored))) return std::nullopt;
    Record record{read_json_object(file), {}};
    try {
      const Json key = record.json.contains("key") ? record.json.at("key") : Json();
      member<std::string>(key, "command");
      require(key.contains("config") && key.at("config").is_object() && key.contains("inputs"),
              "key: expected config and inputs");
      if (record.finished()) {
        require(record.json.contains("products") && record.json.at("products").is_object(),
                "products: expected a table, found none (a stage of an earlier version: remove its folder)");
        for (const auto& [name, entry] : record.json.at("products").items()) {
          require(is_inside(name), "products: expected names inside the folder, found ", name);
          record.products[name] = {member<std::uint64_t>(entry, "bytes"),
                                   member<std::string>(entry, "sha256")};
        }
      }
    } catch (const InvalidArgument& error) {
      throw Error(concat(file.string(), ": expected the record of a stage: ", error.what()));
    }
    return record;
  }

 private:
  /// A record may come from a stranger too: it must not make us touch files elsewhere.
  static bool is_inside(const fs::path& name) {
    return !name.empty() && name.is_relative() &&
           std::none_of(name.begin(), name.end(), [](const fs::path& part) { return part == ".."; });
  }
};

bool is_whole(const fs::path& file, const Product& product) {
  std::error_code failed;
  return fs::is_regular_file(fs::symlink_status(file, failed)) &&
         fs::file_size(file, failed) == product.bytes && !failed && sha256_of(file) == product.sha256;
}

/// The files below a folder, relative to it, but for records, hidden notes and links.
std::vector<std::string> files_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && !entry.is_symlink() &&
        !entry.path().filename().string().starts_with(".") && entry.path() != folder / kRecord)
      names.push_back(fs::relative(entry.path(), folder).string());
  std::sort(names.begin(), names.end());
  return names;
}

/// Empties a folder of work but for its record, which says whose it is, however this is cut short.
void clear(const fs::path& unfinished) {
  for (const fs::directory_entry& entry : fs::directory_iterator(unfinished))
    if (entry.path() != unfinished / kRecord) fs::remove_all(entry.path());
}

/// Puts a complete stage's products and record in their places. Can be cut short anywhere and done again.
void move_up(const fs::path& folder) {
  const fs::path from = folder / kUnfinished;
  const Record fresh = Record::read(from).value();
  const std::optional<Record> old = Record::read(folder);
  for (const auto& [name, unused] : fresh.products) {
    if (!fs::exists(from / name)) continue;  // it was moved before the move was cut short
    fs::create_directories((folder / name).parent_path());
    forget_sha256(folder / name);
    fs::rename(from / name, folder / name);
  }
  if (old)
    for (const auto& [name, unused] : old->products) {
      if (fresh.products.contains(name)) continue;
      std::error_code ignored;
      fs::remove(folder / name, ignored);
      forget_sha256(folder / name);
      for (fs::path parent = fs::path(name).parent_path(); !parent.empty(); parent = parent.parent_path())
        fs::remove(folder / parent, ignored);  // if nothing else is in it
    }
  clear(from);
  fs::rename(from / kRecord, folder / kRecord);
  fs::remove(from);
}

bool is_complete(const fs::path& unfinished) {
  std::error_code ignored;
  if (!fs::is_directory(fs::symlink_status(unfinished, ignored))) return false;
  const std::optional<Record> record = Record::read(unfinished);
  return record && record->finished();
}

/// Throws Error unless the folder's stage, if there is one, is finished.
void expect_finished(const fs::path& folder) {
  std::error_code ignored;
  const bool record = fs::exists(folder / kRecord, ignored);
  if (is_complete(folder / kUnfinished) || (record && !Record::read(folder)->finished()) ||
      (!record && Record::read(folder / kUnfinished)))
    throw Error(
        concat(folder.string(), ": expected a finished stage, found an unfinished one; run it again"));
}

/// SHA-256 of what an input path stands for.
std::string hash_of_input(const StageInput& input) {
  try {
    const fs::path file = product(input.path, input.product);
    std::string hash = sha256_of(file);
    const fs::path folder = file.parent_path().empty() ? "." : file.parent_path();
    // A record of ours beside it must be its record.
    if (const auto record = Record::read(folder)) {
      const auto listed = record->products.find(file.filename().string());
      if (listed != record->products.end() && listed->second.sha256 != hash)
        throw Error(concat(file.string(), ": expected the file that ", kRecord,
                           " beside it records, found a changed one; make the stage again"));
    }
    if (input.product == kData && ShardFolder::is_plan(file))  // which stands for what its shards hold
      hash += "+" + ShardFolder(file).content_hash();
    std::error_code ignored;
    const fs::path description = folder / "metadata.json";  // of Minari: where the data come from
    if (input.product == kData && file.filename() == "main_data.hdf5" && fs::exists(description, ignored))
      hash += "+" + sha256_of(description);
    return hash;
  } catch (const Error& error) {
    throw Error(concat(flag_of(input.option), ": ", error.what()));
  }
}

bool contains(const fs::path& folder, const fs::path& file) {
  const fs::path inside = fs::weakly_canonical(file), outside = fs::weakly_canonical(folder);
  return std::mismatch(outside.begin(), outside.end(), inside.begin(), inside.end()).first == outside.end();
}

class Stage {
 public:
  explicit Stage(const StageSpec& spec) : spec_(spec), folder_(spec.folder), work_(folder_ / kUnfinished) {
    if (spec.folder.empty()) throw UsageError(concat(spec.command, ": --out is missing"));
    const Json inputs = input_hashes(spec);
    Json config = spec.config;
    for (const char* place : {"out", "threads", "reuse"}) config.erase(place);
    for (const StageInput& input : spec.inputs) {
      if (input.path.empty() || input.or_text) continue;
      const fs::path file = product(input.path, input.product);
      if (contains(folder_, file))
        throw Error(concat("--out: expected a folder without inputs, found ", folder_.string(), " to hold ",
                           flag_of(input.option), " ", file.string()));
      erase(config, input.option);
    }
    key_ = {{"command", spec.command},
            {"version", DIFFREWARD_VERSION},
            {"program", program_sources(spec.link)},
            {"config", config},
            {"inputs", inputs}};
  }

  Json run(const std::function<Json(const fs::path&)>& work, Ranks* ranks) {
    if (ranks != nullptr) {
      Json own = key_;
      own["arithmetic"] = machine_fingerprint({{"tensors", tensor_arithmetic()}}).at("arithmetic");
      ranks->agree(own);
    }
    if (ranks != nullptr && !ranks->first()) return follow(work, *ranks);
    create_folder();
    const FolderLock lock(folder_);
    remove_stale_temporaries(folder_);
    if (is_complete(work_)) move_up(folder_);
    std::error_code ignored;
    if (fs::is_empty(work_, ignored)) fs::remove(work_, ignored);  // of a run killed after all was done
    const std::optional<Record> old = Record::read(folder_);
    if (old && old->key().at("command") != spec_.command)
      throw Error(concat(folder_.string(), ": expected a folder for ", spec_.command, ", found a stage of ",
                         old->key().at("command").get<std::string>(), "; choose another --out"));
    if (spec_.reuse && old && old->finished() && old->key() == key_ && is_whole(*old)) {
      if (ranks != nullptr) ranks->of_first(kKept);
      return shown(old->json.at("result"), old->products);
    }
    if (spec_.reuse && old && old->finished() && but_for_the_program(old->key(), key_))
      std::cerr << concat(printable(folder_.string()), ": made by another program (", made_by(*old),
                          "; this one is ", program_commit(), "), so it is made again\n");
    if (old && old->finished() && lengthens(old->key()))
      throw Error(concat(folder_.string(), ": expected a stage of this program (", program_commit(),
                         ") to continue, found one of another (", made_by(*old),
                         "); continue it with that one, or choose another --out"));
    expect_free(old);
    prepare(old);

    if (ranks != nullptr) ranks->of_first(kBegun);
    const auto start = std::chrono::steady_clock::now();
    const Json result = work(work_);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const Products products = finished_products(old);
    Json listed = Json::object();
    for (const auto& [name, product] : products)
      listed[name] = {{"bytes", product.bytes}, {"sha256", product.sha256}};
    write_file(work_ / kRecord, Json{{"key", key_},
                                     {"commit", program_commit()},
                                     {"seconds", seconds},
                                     {"products", listed},
                                     {"result", result}}
                                        .dump(2) +
                                    "\n");
    move_up(folder_);
    if (ranks != nullptr) ranks->finish();
    return shown(result, products);
  }

  StageStatus status() const {
    using enum StageStatus::State;
    if (is_complete(work_)) return {kUnfinished, 0};
    const std::optional<Record> old = Record::read(folder_);
    std::error_code ignored;
    if (!old || !old->finished()) return {fs::exists(work_ / kRecord, ignored) ? kUnfinished : kAbsent, 0};
    const double seconds = old->json.value("seconds", 0.0);
    return {old->key() == key_ && is_whole(*old) ? kDone : kChanged, seconds};
  }

 private:
  /// What a rank other than the first does.
  static Json follow(const std::function<Json(const fs::path&)>& work, Ranks& ranks) {
    Progress::silence(true);
    if (ranks.of_first({}) == kKept) return {};
    work({});
    ranks.finish();
    return {};
  }

  /// Removes the field of a dotted name.
  static void erase(Json& config, const std::string& name) {
    const auto dot = name.find('.');
    if (dot == std::string::npos)
      config.erase(name);
    else if (const auto group = config.find(name.substr(0, dot)); group != config.end())
      erase(*group, name.substr(dot + 1));
  }

  /// The field of a dotted name; null where there is none.
  static const Json* at(const Json& config, const std::string& name) {
    const auto dot = name.find('.');
    const auto found = config.is_object() ? config.find(name.substr(0, dot)) : config.end();
    if (found == config.end()) return nullptr;
    return dot == std::string::npos ? &*found : at(*found, name.substr(dot + 1));
  }

  void create_folder() const {
    std::error_code failed;
    fs::create_directories(folder_, failed);
    if (failed) throw Error(concat(folder_.string(), ": cannot create: ", failed.message()));
  }

  bool is_whole(const Record& record) const {
    return std::ranges::all_of(record.products,
                               [&](const auto& p) { return cli::is_whole(folder_ / p.first, p.second); });
  }

  /// Throws Error where a product's place is taken by something that no record lists.
  void expect_free(const std::optional<Record>& old) const {
    std::vector<std::string> names = spec_.products;
    names.emplace_back(kConfig);
    for (const std::string& name : names) expect_free(name, old);
  }

  void expect_free(const std::string& name, const std::optional<Record>& old) const {
    std::error_code ignored;
    if ((old && old->products.contains(name)) || !fs::exists(fs::symlink_status(folder_ / name, ignored)))
      return;
    throw Error(concat((folder_ / name).string(), ": expected no file in the place of a product of ",
                       spec_.command, ", found one that no stage recorded; move it or choose another --out"));
  }

  /// The folder of work in progress: as an equal run left it, or empty but for what a longer run continues
  /// from.
  void prepare(const std::optional<Record>& old) const {
    std::error_code ignored;
    if (fs::exists(fs::symlink_status(work_, ignored))) {
      if (!is_ours())
        throw Error(concat(work_.string(), ": expected an unfinished stage, found other files; move them or ",
                           "choose another --out"));
      if (const auto begun = Record::read(work_); begun && begun->key() == key_) {
        remove_stale_temporaries(work_);
        return;
      }
      if (const auto begun = Record::read(work_); begun && but_for_the_program(begun->key(), key_))
        for (const std::string& name : spec_.continues_from)
          if (fs::exists(work_ / name))
            throw Error(concat(work_.string(), ": expected work of this program (", program_commit(),
                               "), found it begun by another one (", made_by(*begun),
                               "); finish it with that one, or remove it"));
      clear(work_);
    }
    fs::create_directory(work_);
    write_file(work_ / kRecord, Json{{"key", key_}, {"commit", program_commit()}}.dump(2) + "\n");
    write_file(work_ / kConfig,
               "# diffreward " + spec_.command + " --config config.toml\n" + to_toml(spec_.config));
    if (old && old->finished() && continues(old->key()))
      for (const std::string& name : spec_.continues_from)
        if (old->products.contains(name)) fs::copy_file(folder_ / name, work_ / name);
  }

  static bool but_for_the_program(Json a, Json b) {
    for (Json* key : {&a, &b})
      for (const char* field : {"program", "version"}) key->erase(field);
    return a == b;
  }

  static std::string made_by(const Record& record) {
    const auto commit = record.json.find("commit");
    return commit != record.json.end() && commit->is_string() ? commit->get<std::string>() : "unknown";
  }

  /// Whether `unfinished` was begun by a stage: it has a record, or was killed before it had one.
  bool is_ours() const {
    if (!fs::is_directory(fs::symlink_status(work_))) return false;
    if (Record::read(work_)) return true;
    remove_stale_temporaries(work_);
    return fs::is_empty(work_);
  }

  /// Whether this run is the one before, only longer: the first field of `extends` may grow, the others
  /// change.
  bool continues(const Json& before) const {
    return grows(before, false) && before.value("program", Json()) == key_.at("program");
  }

  /// The same, longer indeed, but of another program.
  bool lengthens(const Json& before) const {
    return grows(before, true) && before.value("program", Json()) != key_.at("program");
  }

  bool grows(const Json& before, bool strictly) const {
    if (spec_.extends.empty()) return false;
    const std::string& length = spec_.extends.front();
    Json a = before, b = key_;
    const Json *was = at(a.at("config"), length), *is = at(b.at("config"), length);
    if (was == nullptr || is == nullptr || (strictly ? *was >= *is : *was > *is)) return false;
    for (const std::string& field : spec_.extends) {
      erase(a.at("config"), field);
      erase(b.at("config"), field);
    }
    return but_for_the_program(a, b);
  }

  Products finished_products(const std::optional<Record>& old) const {
    Products products;
    remove_stale_temporaries(work_);
    for (const std::string& name : files_in(work_)) {
      const Product product{fs::file_size(work_ / name), sha256_of(work_ / name)};
      // What several stages share, as a Minari namespace's description, belongs to the first.
      if (!(old && old->products.contains(name)) && cli::is_whole(folder_ / name, product)) continue;
      expect_free(name, old);
      products[name] = product;
    }
    return products;
  }

  Json shown(Json result, const Products& products) const {
    for (auto& [key, value] : result.items())
      if (value.is_string() && products.contains(value.get<std::string>()))
        value = (folder_ / value.get<std::string>()).string();
    return result;
  }

  const StageSpec& spec_;
  fs::path folder_, work_;
  Json key_;
};

}  // namespace

Json input_hashes(const StageSpec& stage) {
  Json hashes = Json::object();
  for (const StageInput& input : stage.inputs)
    if (!input.path.empty() && !input.or_text)
      hashes[input.name.empty() ? input.option : input.option + "." + input.name] = hash_of_input(input);
  return hashes;
}

Json run_stage(const StageSpec& stage, const std::function<Json(const fs::path&)>& work, Ranks* ranks) {
  try {
    return Stage(stage).run(work, ranks);
  } catch (const fs::filesystem_error& error) {
    throw Error(concat(error.path1().string(), ": ", error.code().message()));
  }
}

StageStatus status_of(const StageSpec& stage) {
  try {
    return Stage(stage).status();
  } catch (const Error&) {  // of an input that is not there yet
    std::error_code ignored;
    return {fs::exists(stage.folder / kRecord, ignored) ? StageStatus::State::kChanged
                                                        : StageStatus::State::kAbsent,
            0};
  }
}

fs::path product(const std::string& path, const std::string& name) {
  if (path.empty()) throw UsageError("expected a path, got nothing");
  std::error_code ignored;
  const fs::path found = stage_folder(path);
  const bool folder = fs::is_directory(found, ignored);
  expect_finished(folder ? found : found.parent_path());
  if (name == kData) return find_data_file(found);
  if (!folder) return found;
  if (fs::exists(found / name, ignored)) return found / name;
  throw Error(concat(path, ": expected ", name, " in this folder, found none"));
}

fs::path stage_folder(const std::string& path) {
  std::error_code ignored;
  if (fs::exists(path, ignored)) return path;
  return trained_folder(path).value_or(path);
}

Json stage_record(const std::string& path) {
  const fs::path folder = stage_folder(path);
  expect_finished(folder);
  std::optional<Record> record = Record::read(folder);
  if (!record) throw Error(concat((folder / kRecord).string(), ": expected a finished stage, found none"));
  return std::move(record->json);
}

}  // namespace diffreward::cli
