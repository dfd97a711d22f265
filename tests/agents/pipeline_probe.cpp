// The C++ half of tests/oracle/pipeline_reference.py: trains a toy pipeline for a few steps and says what it makes of a
// prompt.
//
// usage: pipeline_probe OUT PROMPT
//
// OUT gets the folder "pipeline", and result.safetensors: the noise that a chain of 10 steps of DDIM with guidance 7.5
// begins with, its latents at the end, the embedded prompt, and the decoded image in [0, 1].
#include <torch/torch.h>

#include <iostream>

#include "agents/nets/tensor_file_torch.h"
#include "core/progress.h"
#include "tests/agents/stable_diffusion/toy_pipeline.h"

int main(int argc, char** argv) {
  using namespace diffreward;
  try {
    if (argc != 3) throw InvalidArgument("usage: pipeline_probe OUT PROMPT");
    Progress::silence();
    const std::filesystem::path out = argv[1];
    const StableDiffusion model =
        train_pipeline(toy_scenes(), toy_tokenizer(), toy_pipeline(), toy_training(60, 60), out);
    ImageSampleConfig config;
    config.steps = 10;
    config.scheduler = "ddim";
    const at::Tensor noise = model.noise(1, config), text = model.embed({argv[2]});
    const at::Tensor latents = model.sample_embedded(model.embed({""}), text, {}, config, {}, noise);
    save_tensors(out / "result.safetensors",
                 {{"noise", noise}, {"text", text}, {"latents", latents}, {"image", model.decode(latents)}},
                 {});
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
