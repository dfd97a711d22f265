#include "datasets/normalizer.h"

#include <algorithm>
#include <cmath>

namespace diffreward {

Normalizer::Normalizer(std::string kind, std::vector<double> offset, std::vector<double> scale)
    : kind_(std::move(kind)), offset_(std::move(offset)), scale_(std::move(scale)) {
  require(kind_ == "limits" || kind_ == "gaussian",
          unknown_name("normalizer", kind_, {"limits", "gaussian"}));
  require(offset_.size() == scale_.size(), "normalizer: expected as many scales as offsets, got ",
          scale_.size(), " and ", offset_.size());
  for (std::size_t c = 0; c < scale_.size(); ++c)
    require(std::isfinite(offset_[c]) && std::isfinite(scale_[c]) && scale_[c] > 0, "normalizer: column ", c,
            ": expected a finite offset and a positive scale, got ", offset_[c], " and ", scale_[c]);
}

Normalizer Normalizer::fit(const std::string& kind, std::span<const float> rows, std::size_t columns) {
  require(kind == "limits" || kind == "gaussian", unknown_name("normalizer", kind, {"limits", "gaussian"}));
  require(columns > 0 && !rows.empty() && rows.size() % columns == 0, "normalizer: expected whole rows of ",
          columns, " numbers, got ", rows.size(), " numbers");
  const std::size_t n = rows.size() / columns;
  std::vector<double> low(columns, rows[0]), high(columns, rows[0]), sum(columns, 0), squares(columns, 0);
  for (std::size_t c = 0; c < columns; ++c) low[c] = high[c] = rows[c];
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t c = 0; c < columns; ++c) {
      const double x = rows[i * columns + c];
      if (!std::isfinite(x))
        throw Error(concat("normalizer: row ", i, ", column ", c, ": expected a number, found ", x));
      low[c] = std::min(low[c], x);
      high[c] = std::max(high[c], x);
      sum[c] += x;
      squares[c] +=
          (x - rows[c]) * (x - rows[c]);  // around the first row, which keeps digits of large offsets
    }
  }
  std::vector<double> offset(columns), scale(columns);
  for (std::size_t c = 0; c < columns; ++c) {
    const double count = static_cast<double>(n), mean = sum[c] / count, shift = mean - rows[c];
    const double deviation = std::sqrt(std::max(0.0, squares[c] / count - shift * shift));
    offset[c] = kind == "limits" ? (low[c] + high[c]) / 2 : mean;
    scale[c] = kind == "limits" ? (high[c] - low[c]) / 2 : deviation;
    if (!(scale[c] > 1e-12)) scale[c] = 1;
  }
  return {kind, std::move(offset), std::move(scale)};
}

void Normalizer::normalize(std::span<const float> data, std::span<float> model) const {
  require(data.size() == model.size() && data.size() % columns() == 0, "normalizer: expected rows of ",
          columns(), " numbers, got ", data.size(), " into ", model.size());
  for (std::size_t i = 0, c = 0; i < data.size(); ++i, c = c + 1 == columns() ? 0 : c + 1)
    model[i] = static_cast<float>((data[i] - offset_[c]) / scale_[c]);
}

void Normalizer::unnormalize(std::span<const float> model, std::span<float> data) const {
  require(data.size() == model.size() && data.size() % columns() == 0, "normalizer: expected rows of ",
          columns(), " numbers, got ", model.size(), " into ", data.size());
  for (std::size_t i = 0, c = 0; i < data.size(); ++i, c = c + 1 == columns() ? 0 : c + 1)
    data[i] = static_cast<float>(model[i] * scale_[c] + offset_[c]);
}

Json Normalizer::json() const {
  return {{"kind", kind_}, {"offset", offset_}, {"scale", scale_}};
}

Normalizer Normalizer::from_json(const Json& json) {
  require(json.is_object() && json.contains("kind") && json["kind"].is_string() && json.contains("offset") &&
              json["offset"].is_array() && json.contains("scale") && json["scale"].is_array(),
          "normalizer: expected kind, offset and scale, got ", brief(json));
  for (const char* list : {"offset", "scale"})
    for (const Json& number : json[list])
      require(number.is_number(), "normalizer: ", list, ": expected numbers, got ", brief(number));
  return {json["kind"], json["offset"].get<std::vector<double>>(), json["scale"].get<std::vector<double>>()};
}

void require_same_units(const std::string& whose, const Normalizer& found, const std::string& others,
                        const Normalizer& expected) {
  const auto same = [&](const std::string& name, const auto& is, const auto& should) {
    require(is == should, "normalizer.", name, ": expected ", whose, " to have ", others, "'s ", should,
            ", found ", is);
  };
  same("kind", found.kind(), expected.kind());
  same("columns", found.columns(), expected.columns());
  for (std::size_t c = 0; c < expected.columns(); ++c) {
    same(concat("offset[", c, "]"), found.offset()[c], expected.offset()[c]);
    same(concat("scale[", c, "]"), found.scale()[c], expected.scale()[c]);
  }
}

}  // namespace diffreward
