// What ClipTokenizer makes of texts, for tests/oracle/clip_tokenizer_test.py to compare with Python's.
//
//   clip_tokenizer_probe encode FOLDER     of each line of standard input, a JSON text: its ids, padded
//   clip_tokenizer_probe ids FOLDER        the same, neither padded nor cut short
//   clip_tokenizer_probe save FOLDER OUT   the tokenizer, read and written again
#include <iostream>
#include <string>

#include "agents/stable_diffusion/clip_tokenizer.h"
#include "core/json.h"

using namespace diffreward;

int main(int argc, char** argv) {
  try {
    const std::string what = argc > 2 ? argv[1] : "";
    require(argc == (what == "save" ? 4 : 3), "usage: clip_tokenizer_probe encode|ids|save FOLDER [OUT]");
    const ClipTokenizer tokenizer = ClipTokenizer::load(argv[2]);
    if (what == "save") {
      tokenizer.save(argv[3]);
      return 0;
    }
    for (std::string line; std::getline(std::cin, line);) {
      const auto text = parse_json(line, "standard input").get<std::string>();
      for (const std::int64_t id : what == "ids" ? tokenizer.ids(text) : tokenizer.encode(text))
        std::cout << id << ' ';
      std::cout << '\n';
    }
  } catch (const std::exception& error) {
    std::cerr << "clip_tokenizer_probe: " << error.what() << "\n";
    return 1;
  }
}
