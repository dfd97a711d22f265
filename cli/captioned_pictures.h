// Pictures with captions as a model of pictures is trained on: an image set (datasets/scenes), or a folder of pictures with a
// table metadata.csv of file_name and text, as Hugging Face's imagefolder has it.
#pragma once

#include <string>
#include <vector>

#include "agents/stable_diffusion/pipeline_trainer.h"
#include "cli/stage.h"

namespace diffreward::cli {

/// The files that `images` stands for.
std::vector<StageInput> captioned_inputs(const std::string& images);
/// How many pictures that are, without reading one.
std::size_t count_captioned(const std::string& images);
/// Pictures of a folder are cut to squares from their middle and brought to `side` pixels; those of an image set have it.
/// Throws Error naming the file, what was expected and found.
CaptionedPictures read_captioned(const std::string& images, int side);

}  // namespace diffreward::cli
