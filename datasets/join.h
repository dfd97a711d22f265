// Several data sets as one.
#pragma once

#include <filesystem>
#include <span>

#include "datasets/dataset.h"

namespace diffreward {

/// Writes a D4RL HDF5 file with the rows of all, one data set after the other, and opens it. Infos that all of them have are
/// kept, in double precision where all have that; the provenance tells whose rows they are. Throws InvalidArgument, naming
/// the data set, where environments, their options or sizes differ.
Dataset join(std::span<const Dataset> parts, const std::filesystem::path& path);

}  // namespace diffreward
