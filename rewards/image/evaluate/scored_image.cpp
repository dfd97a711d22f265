#include "rewards/image/evaluate/scored_image.h"

#include <algorithm>
#include <limits>
#include <sstream>

#include "core/csv.h"
#include "core/file.h"

namespace diffreward {
namespace {

/// The first `count` of one side by `before`.
template <class Before>
std::vector<std::size_t> first_of(std::span<const ScoredImage> rows, bool positive, std::size_t count,
                                  const Before& before) {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i].positive == positive) out.push_back(i);
  std::stable_sort(out.begin(), out.end(),
                   [&](std::size_t a, std::size_t b) { return before(rows[a].score, rows[b].score); });
  out.resize(std::min(count, out.size()));
  return out;
}

}  // namespace

std::vector<double> scores_of(std::span<const ScoredImage> rows, bool positive) {
  std::vector<double> out;
  for (const ScoredImage& row : rows)
    if (row.positive == positive) out.push_back(row.score);
  return out;
}

std::vector<std::size_t> worst_false_positives(std::span<const ScoredImage> rows, std::size_t count) {
  return first_of(rows, false, count, std::greater<>());
}

std::vector<std::size_t> worst_false_negatives(std::span<const ScoredImage> rows, std::size_t count) {
  return first_of(rows, true, count, std::less<>());
}

void write_scores(const std::filesystem::path& path, std::span<const ScoredImage> rows) {
  std::ostringstream out;
  out.precision(std::numeric_limits<double>::max_digits10);
  out << "name,score,positive,sampler,category,prompt,seed\r\n";
  for (const ScoredImage& row : rows)
    out << csv_cell(row.name) << ',' << row.score << ',' << row.positive << ',' << csv_cell(row.sampler)
        << ',' << csv_cell(row.category) << ',' << csv_cell(row.prompt) << ',' << row.seed << "\r\n";
  write_file(path, out.str());
}

}  // namespace diffreward
