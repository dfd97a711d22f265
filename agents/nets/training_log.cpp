#include "agents/nets/training_log.h"

#include <bit>
#include <optional>
#include <span>
#include <sstream>
#include <string>

#include "agents/nets/crc32c.h"
#include "core/error.h"
#include "core/file.h"

namespace diffreward {
namespace {

static_assert(std::endian::native == std::endian::little, "event files are little endian");

/// The line as an object with an integer "step", or nothing.
std::optional<Json> parse_line(const std::string& text) {
  Json line;
  try {
    line = parse_json(text, "line");
  } catch (const Error&) {  // the last line of a run that was killed
    return std::nullopt;
  }
  if (!line.is_object() || !line.contains("step") || !line["step"].is_number_integer()) return std::nullopt;
  return line;
}

template <class Number>
void append_raw(std::string& out, Number value) {
  const auto bytes = std::bit_cast<std::array<char, sizeof(Number)>>(value);
  out.append(bytes.data(), bytes.size());
}

// Protocol buffers: a field is its key (number << 3 | wire type), then the value.
enum WireType : unsigned { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void append_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7u)
    out.push_back(static_cast<char>(static_cast<unsigned char>(value | 0x80u)));
  out.push_back(static_cast<char>(value));
}
void append_key(std::string& out, unsigned field, WireType type) {
  append_varint(out, field << 3u | type);
}
void append_bytes(std::string& out, unsigned field, const std::string& bytes) {
  append_key(out, field, kBytes);
  append_varint(out, bytes.size());
  out += bytes;
}

/// Event.wall_time = 1 (double), which every record has.
std::string event_at(double seconds) {
  std::string event;
  append_key(event, 1, kFixed64);
  append_raw(event, seconds);
  return event;
}

/// Event.step = 2, Event.summary = 5 { Summary.value = 1 { tag = 1, simple_value = 2 } ... }
std::string scalar_event(const Json& line) {
  std::string event = event_at(line.value("time", 0.0));
  append_key(event, 2, kVarint);
  append_varint(event, static_cast<std::uint64_t>(line["step"].get<std::int64_t>()));
  std::string summary;
  for (const auto& [name, number] : line.items()) {
    if (name == "step" || name == "time" || !number.is_number()) continue;
    std::string value;
    append_bytes(value, 1, name);
    append_key(value, 2, kFixed32);
    append_raw(value, number.get<float>());
    append_bytes(summary, 1, value);
  }
  append_bytes(event, 5, summary);
  return event;
}

std::uint32_t masked_crc(const std::string& bytes) {
  const std::uint32_t crc = crc32c(std::as_bytes(std::span(bytes)));
  return std::rotr(crc, 15) + 0xA282EAD8u;
}

/// TFRecord: length, its checksum, the bytes, their checksum.
void append_record(std::string& out, const std::string& record) {
  std::string length;
  append_raw(length, static_cast<std::uint64_t>(record.size()));
  out += length;
  append_raw(out, masked_crc(length));
  out += record;
  append_raw(out, masked_crc(record));
}

}  // namespace

TrainingLog::TrainingLog(std::filesystem::path path, std::int64_t last_step) : path_(std::move(path)) {
  if (path_.empty()) return;
  std::string kept;
  if (std::filesystem::exists(path_)) {
    std::istringstream lines(read_file(path_));
    for (std::string text; std::getline(lines, text);)
      if (const auto line = parse_line(text); line && (*line)["step"].get<std::int64_t>() <= last_step) {
        kept += text + "\n";
        lines_.push_back(*line);
      }
  }
  write_file(path_, kept);
  file_.open(path_, std::ios::app);
  if (!file_) throw Error(concat(path_.string(), ": cannot be written"));
}

void TrainingLog::write(const Json& line) {
  if (path_.empty()) return;
  file_ << line.dump() << std::endl;
  if (!file_) throw Error(concat(path_.string(), ": cannot be written"));
}

std::filesystem::path write_tensorboard(const std::filesystem::path& jsonl,
                                        const std::filesystem::path& folder) {
  std::istringstream lines(read_file(jsonl));
  std::string events;
  int number = 0;
  for (std::string text; std::getline(lines, text);) {
    ++number;
    const auto line = parse_line(text);
    if (!line)
      throw Error(concat(jsonl.string(), ": line ", number,
                         ": expected a JSON object with an integer 'step', found ", text.substr(0, 80)));
    if (number == 1) {
      std::string version = event_at(line->value("time", 0.0));
      append_bytes(version, 3, "brain.Event:2");
      append_record(events, version);
    }
    append_record(events, scalar_event(*line));
  }
  if (number == 0) throw Error(concat(jsonl.string(), ": expected at least one line, found none"));
  const std::filesystem::path out = folder / kTensorboardFile;
  write_file(out, events);
  return out;
}

}  // namespace diffreward
