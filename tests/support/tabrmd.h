#pragma once

#include <string>

#include "tests/support/background.h"
#include "tests/support/swtpm.h"
#include "tests/support/temporary_directory.h"

namespace devid::test {

/// The resource manager tpm2-abrmd over a swtpm, on a bus of this test's own. Throws std::runtime_error if it does not
/// start.
class Tabrmd {
 public:
  explicit Tabrmd(const Swtpm& swtpm);

  /// "tabrmd:bus_name=…,bus_type=session", for processes with environment() in their environment.
  [[nodiscard]] std::string tcti() const;
  [[nodiscard]] std::string environment() const;

 private:
  void wait_for_name();

  TemporaryDirectory directory_;
  BackgroundProcess bus_;
  BackgroundProcess daemon_;
};

}  // namespace devid::test
