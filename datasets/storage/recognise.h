// What a file is that should be HDF5, told from its first bytes without HDF5.
#pragma once

#include "core/file.h"

namespace diffreward {

/// Throws Error saying what the file is and what to do, unless it is an HDF5 file of a known version, as long
/// as it says it is, that no other process is writing to.
void expect_hdf5(const RegularFile& file, const std::string& name);

}  // namespace diffreward
