// Affine maps from data units to model units, one per column: model = (data - offset) / scale.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/config.h"
#include "datasets/dataset.h"

namespace diffreward {

class Normalizer {
 public:
  /// "limits": the column's range becomes [-1, 1].  "gaussian": mean 0, standard deviation 1.  Constant
  /// columns get scale 1. Throws InvalidArgument for another name, and Error naming column and row for values
  /// that are not finite.
  static Normalizer fit(const std::string& kind, std::span<const float> rows, std::size_t columns);

  Normalizer() = default;
  Normalizer(std::string kind, std::vector<double> offset, std::vector<double> scale);

  const std::string& kind() const { return kind_; }
  std::size_t columns() const { return offset_.size(); }
  const std::vector<double>& offset() const { return offset_; }  // [columns]
  const std::vector<double>& scale() const { return scale_; }    // [columns]

  /// In place or from one array to another of equal size.  [n, columns]
  void normalize(std::span<const float> data, std::span<float> model) const;
  void unnormalize(std::span<const float> model, std::span<float> data) const;

  Json json() const;
  static Normalizer from_json(const Json& json);
  bool operator==(const Normalizer&) const = default;

 private:
  std::string kind_;
  std::vector<double> offset_, scale_;
};

/// Throws InvalidArgument naming the first number in which `found` is not `expected`, and whose they are ("the expert
/// model", "the base model").
void require_same_units(const std::string& whose, const Normalizer& found, const std::string& others,
                        const Normalizer& expected);

}  // namespace diffreward
