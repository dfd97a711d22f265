// What a folder in diffusers' layout holds, told from its configs and the headers of its weights.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"

namespace diffreward {

/// `nets` (sizes, parameters, number types), `parameters`, `scheduler`, `tokenizer`, `text_length`, `image` (width and
/// height, pixels), `latent` (channels, height, width), `own`; in `problems` what is missing or not supported, in
/// `warnings` what is ignored, a line each. Weights are not read, so that their shapes and numbers are left for
/// StableDiffusion::load() to check. Throws Error where no folder is.
Json describe_pipeline(const std::filesystem::path& folder);

/// The files of a pipeline that samples depend on, relative to its folder, as far as they are there.
std::vector<std::string> pipeline_files(const std::filesystem::path& folder);

/// The key by which a model_index.json tells that this project trained the pipeline.
inline constexpr const char* kOwnPipelineKey = "_diffreward_version";
/// Whether the folder's model_index.json has it. Throws Error for one that cannot be read.
bool is_own_pipeline(const std::filesystem::path& folder);

}  // namespace diffreward
