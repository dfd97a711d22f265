// Damaged copies of small sound files, the same on every machine, and what must hold of a reader of each: it
// ends as a success or as one line that names the file, in bounded time and memory.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/rng.h"
#include "tests/core/temporary_folder.h"

namespace diffreward::fuzz {

namespace fs = std::filesystem;

/// A copy of a seed with one to four damages: bits, bytes, zeros, numbers at their edges, pieces of seeds,
/// cuts.
inline std::string mutate(const std::vector<std::string>& seeds, Rng& rng) {
  std::string bytes = seeds[rng.below(seeds.size())];
  const auto place = [&] { return static_cast<std::size_t>(rng.below(bytes.size())); };
  for (std::size_t left = 1 + rng.below(4); left > 0 && !bytes.empty(); --left) {
    const std::size_t at = place(), length = std::min<std::size_t>(1 + rng.below(64), bytes.size() - at);
    switch (rng.below(8)) {
      case 0:  // a byte
        bytes[at] = static_cast<char>(rng.below(256));
        break;
      case 1:
        std::fill_n(bytes.begin() + std::ptrdiff_t(at), length, '\0');
        break;
      case 2: {  // a number at one of its edges
        const std::uint64_t edges[] = {~0ull, 1ull << 63, 1ull << 32, 1ull << 62, 0x7fffffff, 0xffff};
        const std::uint64_t edge = edges[rng.below(std::size(edges))];
        std::memcpy(bytes.data() + at, &edge, std::min<std::size_t>(sizeof edge, bytes.size() - at));
        break;
      }
      case 3: {  // a piece of any seed
        const std::string& other = seeds[rng.below(seeds.size())];
        const std::size_t from = rng.below(other.size());
        bytes.replace(at, length, other.substr(from, length));
        break;
      }
      case 4:
        if (rng.below(8) == 0) bytes.resize(at);
        break;
      default:  // a bit
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << rng.below(8)));
    }
  }
  return bytes;
}

/// Text is damaged by its own kind too: digits that grow, brackets that repeat, keys and values that change
/// places.
inline std::string mutate_text(const std::vector<std::string>& seeds, Rng& rng) {
  std::string text = mutate(seeds, rng);
  if (text.empty()) return text;
  const std::size_t at = rng.below(text.size());
  switch (rng.below(6)) {
    case 0:
      return text.insert(at, std::string(1 + rng.below(200'000), "[{\"("[rng.below(4)]));
    case 1: {
      const std::size_t digit = text.find_first_of("0123456789", at);
      return digit == std::string::npos ? text : text.insert(digit, std::string(1 + rng.below(30), '9'));
    }
    case 2: {
      const char* words[] = {"null", "true", "-1", "1e999", "\"\\u0000\"", "[]", "{}", "\x1b[2J", "\xff"};
      return text.insert(at, words[rng.below(std::size(words))]);
    }
    default:
      return text;
  }
}

/// Of this process and its children so far: other than the clock's, they do not grow on a busy machine.
inline double processor_seconds() {
  double seconds = 0;
  for (const auto who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage used{};
    ::getrusage(who, &used);
    for (const timeval& time : {used.ru_utime, used.ru_stime})
      seconds += static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  }
  return seconds;
}

struct Limits {
  double seconds = 6;       // of processors, a case
  long memory = 1'000'000;  // KB, of this process and of the largest child
};

/// Runs cases `first` to `first + count`. `write` places a damaged copy and returns its path; `read` reads it
/// and returns what it saw, or throws. Prints a line; a case that ends otherwise is kept in the working
/// directory as <name>_case_<i> and makes the result 1.
inline int run(const std::string& name, std::uint64_t first, std::uint64_t count, const Limits& limits,
               const std::function<std::string(Rng&)>& damage, const fs::path& file,
               const std::function<std::string()>& read) {
  std::map<std::string, std::uint64_t> outcomes;
  std::uint64_t failed = 0;
  double slowest = 0;
  for (std::uint64_t i = first; i < first + count && failed < 20; ++i) {
    Rng rng({i, 0x66757a7a});
    const std::string bytes = damage(rng);
    write_bytes(file, bytes);
    const double start = processor_seconds();
    std::string fault, outcome;
    try {
      outcome = read();
    } catch (const Error& error) {
      const std::string text = error.what();
      if (text.find(file.filename().string()) == std::string::npos &&
          text.find(file.parent_path().string()) == std::string::npos)
        fault = "names no file: " + text;
      outcome = text.find("HDF5 itself crashes") != std::string::npos           ? "crashed HDF5 in its child"
                : text.find("found ones that take longer") != std::string::npos ? "ran into a time limit"
                                                                                : "refused";
    } catch (const std::exception& error) {
      fault = concat("not an error of ours: ", error.what());
    }
    const double seconds = processor_seconds() - start;
    slowest = std::max(slowest, seconds);
    if (seconds > limits.seconds) fault += concat(" took ", seconds, " s");
    for (const auto who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
      rusage used{};
      ::getrusage(who, &used);
      if (used.ru_maxrss > limits.memory) fault += concat(" held ", used.ru_maxrss, " KB");
    }
    ++outcomes[outcome];
    if (fault.empty()) continue;
    ++failed;
    const std::string kept = concat(name, "_case_", i);
    write_bytes(kept, bytes);
    std::cerr << "case " << i << " (" << kept << "): " << printable(fault) << "\n";
  }
  std::cout << name << ": " << count << " cases:";
  for (const auto& [outcome, times] : outcomes) std::cout << " " << times << " " << outcome << ",";
  std::cout << " " << failed << " failed; slowest " << slowest << " s\n";
  return failed == 0 ? 0 : 1;
}

/// The files in `folder` whose names begin with `prefix`, in the order of their names.
inline std::vector<std::string> seeds_in(const fs::path& folder, const std::string& prefix) {
  std::vector<fs::path> names;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename().string().starts_with(prefix)) names.push_back(entry.path());
  std::sort(names.begin(), names.end());
  std::vector<std::string> seeds;
  for (const fs::path& name : names) seeds.push_back(bytes_of(name));
  if (seeds.empty()) throw Error(concat(folder.string(), ": expected seeds named ", prefix, "*, found none"));
  return seeds;
}

}  // namespace diffreward::fuzz
