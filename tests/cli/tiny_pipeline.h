// The smallest of the pipelines that Python's diffusers wrote for the tests, with a tokenizer of letters beside it.
#pragma once

#include <filesystem>
#include <string>

#include "core/file.h"
#include "core/json.h"

namespace diffreward {

/// Copies it, so that what is kept beside files does not end up in the sources.
inline void make_tiny_pipeline(const std::filesystem::path& folder) {
  const std::filesystem::path from =
      std::filesystem::path(DIFFREWARD_SOURCE_DIR) / "tests/golden/stable_diffusion/a";
  std::filesystem::create_directories(folder);
  for (const char* part : {"model_index.json", "scheduler", "text_encoder", "unet", "vae"})
    std::filesystem::copy(from / part, folder / part, std::filesystem::copy_options::recursive);
  Json vocabulary = Json::object();
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    vocabulary[std::string(1, letter)] = vocabulary.size();
    vocabulary[std::string(1, letter) + "</w>"] = vocabulary.size();
  }
  for (int i = 0; vocabulary.size() < 62; ++i) vocabulary[concat("unused", i)] = vocabulary.size();
  vocabulary["<|startoftext|>"] = 62;  // as config.json of the text encoder has it
  vocabulary["<|endoftext|>"] = 63;
  write_file(folder / "tokenizer" / "vocab.json", vocabulary.dump());
  write_file(folder / "tokenizer" / "merges.txt", "#version: 0.2\n");
  write_file(folder / "tokenizer" / "tokenizer_config.json", Json{{"bos_token", "<|startoftext|>"},
                                                                  {"eos_token", "<|endoftext|>"},
                                                                  {"unk_token", "<|endoftext|>"},
                                                                  {"pad_token", "<|endoftext|>"},
                                                                  {"model_max_length", 77},
                                                                  {"tokenizer_class", "CLIPTokenizer"}}
                                                                 .dump());
}

}  // namespace diffreward
