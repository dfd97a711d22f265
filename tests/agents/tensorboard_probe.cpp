// The C++ half of tests/oracle/tensorboard_reference.py.  usage: tensorboard_probe METRICS.jsonl FOLDER
#include <exception>
#include <iostream>

#include "agents/nets/training_log.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    std::cout << diffreward::write_tensorboard(argv[1], argv[2]).string() << "\n";
  } catch (const std::exception& error) {
    std::cerr << "tensorboard_probe: " << error.what() << "\n";
    return 1;
  }
}
