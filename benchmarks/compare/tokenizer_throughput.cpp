// Texts a second of ClipTokenizer, for tokenizer.py. Reads a JSON list of texts and answers each line "encode SECONDS".
#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "agents/stable_diffusion/clip_tokenizer.h"
#include "core/file.h"
#include "core/json.h"

using namespace diffreward;

int main(int argc, char** argv) {
  try {
    require(argc == 3, "usage: tokenizer_throughput TOKENIZER TEXTS.json");
    const ClipTokenizer tokenizer = ClipTokenizer::load(argv[1]);
    const auto texts = parse_json(read_file(argv[2]), argv[2]).get<std::vector<std::string>>();
    std::cout << "ready" << std::endl;
    std::string what;
    for (double seconds = 0; std::cin >> what >> seconds;) {
      using Clock = std::chrono::steady_clock;
      const auto begin = Clock::now();
      double passed = 0;
      std::int64_t done = 0, sum = 0;
      while (passed < seconds) {
        for (const std::string& text : texts) sum += tokenizer.encode(text)[1];
        done += std::int64_t(texts.size());
        passed = std::chrono::duration<double>(Clock::now() - begin).count();
      }
      std::cout << (sum != 0 ? double(done) / passed : 0) << std::endl;
    }
  } catch (const std::exception& error) {
    std::cerr << "tokenizer_throughput: " << error.what() << "\n";
    return 1;
  }
}
