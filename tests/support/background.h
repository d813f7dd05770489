#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace devid::test {

/// A process that runs beside the test and ends with it, or with the object. Its output goes to a file.
class BackgroundProcess {
 public:
  /// argv[0] is looked up in PATH; `environment` ("NAME=value") is added to ours. Throws std::runtime_error.
  BackgroundProcess(std::vector<std::string> argv, const std::vector<std::string>& environment,
                    const std::filesystem::path& log);
  BackgroundProcess(const BackgroundProcess&) = delete;
  BackgroundProcess& operator=(const BackgroundProcess&) = delete;
  BackgroundProcess(BackgroundProcess&&) = delete;
  BackgroundProcess& operator=(BackgroundProcess&&) = delete;
  /// Ends it: SIGTERM, and SIGKILL if it takes more than five seconds.
  ~BackgroundProcess();

  [[nodiscard]] bool runs();

 private:
  pid_t pid_ = -1;
};

}  // namespace devid::test
