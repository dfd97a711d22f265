// clip_tokenizer_fuzz SEEDS vocab|merges|tokenizer|config|map COUNT [FIRST]: reads a tokenizer of which one file is a damaged copy
// of a small one. Case i is the same on every machine; FIRST is the first. See mutation.h.
#include "agents/stable_diffusion/clip_tokenizer.h"
#include "core/file.h"
#include "tests/fuzz/mutation.h"

using namespace diffreward;
namespace fs = std::filesystem;

namespace {

const std::map<std::string, std::string> kFiles = {{"vocab", "vocab.json"},
                                                   {"merges", "merges.txt"},
                                                   {"tokenizer", "tokenizer.json"},
                                                   {"config", "tokenizer_config.json"},
                                                   {"map", "special_tokens_map.json"}};

/// What was read must keep its promises to any text, and come back from disk.
void check(const fs::path& folder, const fs::path& again) {
  const ClipTokenizer tokenizer = ClipTokenizer::load(folder);
  fs::remove_all(again);
  tokenizer.save(again);
  const ClipTokenizer second = ClipTokenizer::load(again, tokenizer.vocabulary());
  for (const char* text : {"a photo of it's 2 cats\u0301!", "<|endoftext|> <|ENDOFTEXT|>", "é猫😀 \x01", ""}) {
    const std::vector<std::int64_t> ids = tokenizer.encode(text);
    if (ids.size() != std::size_t(tokenizer.max_length()) || ids != second.encode(text))
      throw std::logic_error("ids are not as promised");
    for (const std::int64_t id : ids)
      if (id < 0 || id >= tokenizer.vocabulary()) throw std::logic_error("an id lies beyond the vocabulary");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4 || !kFiles.contains(argv[2])) {
    std::cerr << "usage: clip_tokenizer_fuzz SEEDS vocab|merges|tokenizer|config|map COUNT [FIRST]\n";
    return 2;
  }
  const fs::path seeds = argv[1];
  const std::string kind = argv[2];
  const TemporaryFolder folder;
  const fs::path own = folder / "tokenizer";
  fs::create_directory(own);
  for (const auto& [other, name] : kFiles)
    if (other == kind ||
        (kind == "tokenizer" ? other == "config"
                             : other != "tokenizer" && !(kind == "map" && other == "config")))
      fs::copy_file(seeds / name, own / name);
  const fs::path file = own / kFiles.at(kind);
  const std::string sound = read_file(file);
  check(own, folder / "again");  // the seeds themselves
  return fuzz::run(
      "clip_tokenizer_" + kind, argc > 4 ? std::stoull(argv[4]) : 0, std::stoull(argv[3]), {},
      [&](Rng& rng) { return fuzz::mutate_text({sound}, rng); }, file,
      [&] {
        check(own, folder / "again");
        return std::string("read");
      });
}
