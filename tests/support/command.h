#pragma once

#include <string>
#include <vector>

namespace devid::test {

/// How a program ended. `status` is its exit status, or 128 + the signal's number, or 127 if it could not be started.
struct Outcome {
  int status = 0;
  std::string output;  ///< standard output and standard error, as they came
};

/// Runs a program, found on PATH, to its end.
Outcome run(const std::vector<std::string>& command);

}  // namespace devid::test
