// How Minari names data sets.
#pragma once

#include <string>

namespace diffreward {

/// `<namespace>/.../<name>-v<n>` as Minari takes it, with version 0 where the id has none. Throws InvalidArgument for what
/// is no such id: folders and a name of letters, digits, - and _.
std::string minari_id(const std::string& id);

}  // namespace diffreward
