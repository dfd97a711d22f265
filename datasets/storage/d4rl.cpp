// D4RL's HDF5 layout: observations, actions, rewards, terminals, timeouts, infos/*, flat over episodes. Ours
// adds next_observations and keeps provenance as attributes of the group `metadata`.
#include <algorithm>
#include <optional>

#include "datasets/storage/d4rl_writer.h"
#include "datasets/storage/hdf5_reader.h"
#include "datasets/storage/isolated.h"
#include "datasets/storage/storage.h"

namespace diffreward {
namespace {

/// Reads columns one by one: left where they are in the file if their bytes lie there in one aligned piece,
/// converted into the spool if not.
class Reader {
 public:
  Reader(hdf5::File& file, Spool& spool) : file_(file), spool_(spool) {}

  Json read() {
    const hdf5::Column observations = column("observations", 0);
    rows_ = observations.rows();
    if (rows_ == 0) throw Error(concat(where("observations"), ": expected rows, found none"));
    add_floats("observations", observations);
    add_floats("actions", column("actions", rows_));
    add_floats("rewards", column("rewards", rows_), true);
    const hdf5::Column terminals = column("terminals", rows_);
    add_flags("terminals", terminals);
    std::optional<hdf5::Column> timeouts;
    if (has("timeouts")) {
      timeouts.emplace(column("timeouts", rows_));
      add_flags("timeouts", *timeouts);
    } else {
      add_no_timeouts(terminals);
    }
    if (has("next_observations")) {
      const hdf5::Column next = column("next_observations", rows_);
      if (next.width() != observations.width())
        throw Error(
            concat(next.where(), ": expected ", observations.width(), " columns, found ", next.width()));
      add_floats("next_observations", next);
    } else {
      add_shifted(observations, terminals, timeouts ? &*timeouts : nullptr);
    }
    add_infos();
    return {{"rows", rows_},
            {"columns", columns_},
            {"attributes", read_attributes(file_, ignored_)},
            {"ignored", ignored_}};
  }

 private:
  std::string where(const std::string& name) const { return file_.name() + ": " + name; }
  bool has(const char* name) const {
    return hdf5::kind_of(file_.id(), name, where(name)) == hdf5::Kind::kColumn;
  }

  /// rows == 0: any number.
  hdf5::Column column(const std::string& name, std::size_t rows) {
    hdf5::Column found(file_, file_.id(), name, where(name));
    if (found.rank() > 2)
      throw Error(concat(found.where(), ": expected shape [rows, columns], found ", found.shape()));
    if (rows != 0 && found.rows() != rows)
      throw Error(
          concat(found.where(), ": expected ", rows, " rows as in observations, found ", found.rows()));
    return found;
  }
  static void expect_list(const hdf5::Column& column) {
    if (column.width() != 1)
      throw Error(concat(column.where(), ": expected one number a row, found shape ", column.shape()));
  }

  void add_floats(const std::string& name, const hdf5::Column& from, bool list = false) {
    if (list) expect_list(from);
    if (from.floats_at() != HADDR_UNDEF) {
      columns_.push_back(column_json(name, from.width(), "file", from.floats_at()));
      return;
    }
    SpoolColumn to(spool_, rows_ * from.width() * sizeof(float));
    std::vector<float> values;
    in_blocks(from.block(), [&](std::size_t row, std::size_t count) {
      values.resize(count * from.width());
      from.read(row, count, values.data());
      to.append(std::span<const float>(values));
    });
    finish(name, from.width(), to);
  }

  void add_doubles(const std::string& name, const hdf5::Column& from) {
    if (from.doubles_at() != HADDR_UNDEF) {
      columns_.push_back(column_json(name, from.width(), "file", from.doubles_at()));
      return;
    }
    SpoolColumn to(spool_, rows_ * from.width() * sizeof(double));
    std::vector<double> values;
    in_blocks(from.block(), [&](std::size_t row, std::size_t count) {
      values.resize(count * from.width());
      from.read_doubles(row, count, values.data());
      to.append(std::span<const double>(values));
    });
    finish(name, from.width(), to);
  }

  /// Left in the file only if they are 0 and 1 there already.
  void add_flags(const std::string& name, const hdf5::Column& from) {
    expect_list(from);
    std::vector<std::uint8_t> flags, raw;
    if (from.bytes_at() != HADDR_UNDEF) {
      bool plain = true;
      in_blocks(from.block(), [&](std::size_t row, std::size_t count) {
        if (!plain) return;
        raw.resize(count);
        from.read_bytes(row, count, raw.data());
        plain = std::all_of(raw.begin(), raw.end(), [](std::uint8_t flag) { return flag <= 1; });
      });
      if (plain) {
        columns_.push_back(column_json(name, 1, "file", from.bytes_at()));
        return;
      }
    }
    SpoolColumn to(spool_, rows_);
    in_blocks(from.block(), [&](std::size_t row, std::size_t count) {
      flags.resize(count);
      from.read_flags(row, count, flags.data());
      to.append(std::span<const std::uint8_t>(flags));
    });
    finish(name, 1, to);
  }

  /// Nothing tells where episodes were cut: the recording's end is an end.
  void add_no_timeouts(const hdf5::Column& terminals) {
    std::uint8_t last = 0;
    terminals.read_flags(rows_ - 1, 1, &last);
    SpoolColumn to(spool_, rows_);
    std::vector<std::uint8_t> flags;
    in_blocks(std::size_t{1} << 20, [&](std::size_t row, std::size_t count) {
      flags.assign(count, 0);
      if (row + count == rows_) flags.back() = !last;
      to.append(std::span<const std::uint8_t>(flags));
    });
    finish("timeouts", 1, to);
  }

  /// Where a file does not say what an action reached: the next row's observation; at ends the row's own.
  void add_shifted(const hdf5::Column& from, const hdf5::Column& terminals, const hdf5::Column* timeouts) {
    const std::size_t width = from.width();
    SpoolColumn to(spool_, rows_ * width * sizeof(float));
    std::vector<float> values;
    std::vector<std::uint8_t> ends, cuts;
    in_blocks(from.block(), [&](std::size_t row, std::size_t count) {
      const std::size_t more = row + count < rows_;
      values.resize((count + 1) * width);
      from.read(row, count + more, values.data());
      ends.resize(count), cuts.resize(count);
      terminals.read_flags(row, count, ends.data());
      if (timeouts) timeouts->read_flags(row, count, cuts.data());
      for (std::size_t i = 0; i < count; ++i) {
        const bool last = ends[i] || (timeouts && cuts[i]) || row + i + 1 == rows_;
        to.append(std::span<const float>(values).subspan((last ? i : i + 1) * width, width));
      }
    });
    finish("next_observations", width, to);
  }

  void add_infos() {
    if (hdf5::kind_of(file_.id(), "infos", where("infos")) != hdf5::Kind::kGroup) return;
    const hdf5::Handle group = hdf5::open_group(file_.id(), "infos", where("infos"));
    for (const std::string& name : hdf5::child_names(group.get())) {
      try {
        const hdf5::Column found = column("infos/" + name, rows_);
        add_floats("infos/" + name, found);
        if (found.is_double()) add_doubles("doubles/" + name, found);
      } catch (const Error& error) {
        ignored_.push_back(std::string(error.what()).substr(file_.name().size() + 2));
      }
    }
  }

  void finish(const std::string& name, std::size_t width, SpoolColumn& column) {
    column.finish();
    columns_.push_back(column_json(name, width, "spool", column.offset()));
  }

  template <class Work>
  void in_blocks(std::size_t block, const Work& work) const {
    for (std::size_t row = 0; row < rows_; row += block) work(row, std::min(block, rows_ - row));
  }

  hdf5::File& file_;
  Spool& spool_;
  std::size_t rows_ = 0;
  Json columns_ = Json::array(), ignored_ = Json::array();
};

}  // namespace

Json read_d4rl(hdf5::File& file, Spool& spool) {
  return Reader(file, spool).read();
}

namespace {

std::vector<ColumnLayout> layout_of(std::size_t rows, std::size_t observation_dim, std::size_t action_dim,
                                    const std::vector<InfoField>& infos,
                                    const std::vector<InfoField>& doubles) {
  using Item = ColumnLayout::Item;
  std::vector<ColumnLayout> columns = {{"observations", Item::kFloat, {rows, observation_dim}},
                                       {"next_observations", Item::kFloat, {rows, observation_dim}},
                                       {"actions", Item::kFloat, {rows, action_dim}},
                                       {"rewards", Item::kFloat, {rows}},
                                       {"terminals", Item::kByte, {rows}},
                                       {"timeouts", Item::kByte, {rows}}};
  for (const auto& [list, item] : {std::pair{&infos, Item::kFloat}, {&doubles, Item::kDouble}})
    for (const InfoField& info : *list) {
      columns.push_back({"infos/" + info.name, item, {rows}});
      if (info.size != 1) columns.back().shape.push_back(info.size);
    }
  return columns;
}

}  // namespace

D4rlWriter::D4rlWriter(const std::filesystem::path& path, std::size_t rows, std::size_t observation_dim,
                       std::size_t action_dim, const std::vector<InfoField>& infos,
                       const std::vector<InfoField>& doubles, const Provenance& provenance,
                       std::size_t alignment)
    : ColumnFile(path, layout_of(rows, observation_dim, action_dim, infos, doubles), {"infos"}, provenance,
                 alignment) {}

}  // namespace diffreward
