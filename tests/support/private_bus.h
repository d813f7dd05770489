#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/temporary_directory.h"

namespace devid::test {

/// A dbus-daemon of this test's own that stands for the system bus: the rules of a system bus, devid's own policy file,
/// and D-Bus activation of org.devid1. It ends with the object, and with it everything that it started. Throws
/// std::runtime_error if dbus-daemon cannot be started.
class PrivateBus {
 public:
  /// `daemon` is the command that activation runs: an absolute path and arguments, without blanks or quotes in them.
  explicit PrivateBus(const std::vector<std::string>& daemon);
  PrivateBus(const PrivateBus&) = delete;
  PrivateBus& operator=(const PrivateBus&) = delete;
  PrivateBus(PrivateBus&&) = delete;
  PrivateBus& operator=(PrivateBus&&) = delete;
  ~PrivateBus();

  [[nodiscard]] const std::string& address() const { return address_; }
  /// "DBUS_SYSTEM_BUS_ADDRESS=…", for the environment of clients.
  [[nodiscard]] std::string environment() const { return "DBUS_SYSTEM_BUS_ADDRESS=" + address_; }
  /// What devidd and dbus-daemon wrote to standard error so far.
  [[nodiscard]] std::string log() const;
  /// The process that owns org.devid1 now, 0 if none does. Starts nothing.
  [[nodiscard]] pid_t owner() const;
  /// Kills the owner of org.devid1 and waits until the name is free. False if there was none.
  bool kill_owner(int signal) const;

 private:
  void write_configuration(const std::vector<std::string>& daemon) const;

  TemporaryDirectory directory_;
  std::string address_;
  pid_t pid_ = -1;
};

}  // namespace devid::test
