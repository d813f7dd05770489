#pragma once

#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>

#include "tests/support/pkcs11_tap_control.h"
#include "tests/support/temporary_directory.h"

namespace devid::test {

/// Sits between devid and a PKCS#11 module, as a module of its own: counts the calls, watches the sessions, makes the
/// token fail and vanish, and lies. The newest tap is the one of this process and of those that it starts. Return
/// values are PKCS#11's (CKR_…), functions go by name ("C_Sign"). A failure throws std::runtime_error.
class Pkcs11Tap {
 public:
  explicit Pkcs11Tap(const std::filesystem::path& real_module);
  Pkcs11Tap(const Pkcs11Tap&) = delete;
  Pkcs11Tap& operator=(const Pkcs11Tap&) = delete;
  Pkcs11Tap(Pkcs11Tap&&) = delete;
  Pkcs11Tap& operator=(Pkcs11Tap&&) = delete;
  ~Pkcs11Tap();

  /// The shared object to load instead of the real one.
  static std::filesystem::path module();
  /// "DEVID_PKCS11_TAP=…", for a process that is not started from this one's environment.
  [[nodiscard]] std::string environment() const;
  /// Counts, and lets fail, the calls of this process only; 0: of all. At first it is the process that made the tap,
  /// so that a module that is tried out in a child does not count.
  void watch(pid_t process) { control_->process = process; }

  /// How often a function was called since the last reset(), failed calls included; all functions; which and how often:
  /// "C_Login 1, C_Sign 3".
  [[nodiscard]] std::size_t calls(std::string_view function) const;
  [[nodiscard]] std::size_t calls() const;
  [[nodiscard]] std::string summary() const;
  void reset();
  /// Sessions that were opened through the tap and not closed, by whomever.
  [[nodiscard]] std::int64_t open_sessions() const { return control_->open_sessions; }

  /// Calls for the token from a process that had not called C_Initialize: from the child of a fork, say.
  [[nodiscard]] std::size_t calls_before_initialize() const { return control_->early_calls; }

  /// Lets the next `times` calls of a function fail ("" is any function), after `after` of them that pass.
  void fail(std::string_view function, unsigned long rv, unsigned times = 1, unsigned after = 0);
  void fail_always(std::string_view function, unsigned long rv) { fail(function, rv, ~0U); }

  /// Whether every fail() has come to its end.
  [[nodiscard]] bool has_failed() const;

  /// The token is taken out of its slot, or is back.
  void set_gone(bool gone) { control_->gone = gone; }
  /// The HSM closes every session before the next call, as after an idle time.
  void close_sessions() { control_->close_sessions = true; }
  /// CKF_… that the token says besides its own.
  void set_token_flags(unsigned long flags) { control_->token_flags = flags; }
  /// The module has no such mechanisms (CKM_…).
  void hide_mechanisms(std::initializer_list<unsigned long> mechanisms);
  void misbehave(ModuleMisbehaviour how) { control_->misbehaviour |= static_cast<std::uint32_t>(how); }
  /// Ends all of this.
  void heal();

 private:
  TemporaryDirectory directory_;
  TapControl* control_ = nullptr;
};

}  // namespace devid::test
