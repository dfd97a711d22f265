#include <iostream>
#include <string>
#include <vector>

#include "cli/command.h"
#include "core/interrupt.h"

int main(int argc, char** argv) {
  diffreward::catch_interrupts();
  const std::vector<std::string> args(argv + 1, argv + argc);
  return diffreward::cli::run_cli(args, std::cout, std::cerr);
}
