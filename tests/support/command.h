#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace devid::test {

/// A command to run: no shell, argv[0] is looked up in PATH.
struct CommandSpec {
  std::vector<std::string> argv;
  std::string input;                     ///< its standard input
  std::vector<std::string> environment;  ///< "NAME=value", added to ours
  std::filesystem::path directory;       ///< where it runs; ours if empty
  std::chrono::milliseconds timeout{60000};
};

/// How it ended. `status` is its exit status, 128 + N if signal N ended it, 127 if it could not be started.
struct Outcome {
  int status = 0;
  std::string output;
  std::string errors;
  bool timed_out = false;
  [[nodiscard]] bool ok() const { return status == 0 && !timed_out; }
};

/// Runs a command in a process group of its own and waits for it; after the time-out the group is killed.
Outcome run(const CommandSpec& spec);

/// The standard output of a command that must succeed. Throws std::runtime_error with what it said otherwise.
std::string output_of(const CommandSpec& spec);

}  // namespace devid::test
