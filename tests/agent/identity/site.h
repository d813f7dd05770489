#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "tests/support/est_server.h"
#include "tests/support/fake_token.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_pki.h"

namespace devid::test {

/// A clock that is turned by hand. Begins at the real time, which TLS goes by.
class HandClock final : public Clock {
 public:
  [[nodiscard]] Time now() const override { return now_; }
  void advance(Seconds by) { now_ += by; }
  void set(Time now) { now_ = now; }

 private:
  Time now_ = SystemClock().now();
};

/// Writes down the phases; can do something at one, and cancel from one on.
class RecordingObserver final : public JobObserver {
 public:
  void entered(Phase phase) override {
    phases.emplace_back(phase_name(phase));
    if (at_phase) at_phase(phase);
  }
  void noticed(const Notice& notice) override { notices.push_back(notice); }
  void spent(const est::Traffic& all) override { traffic = all; }
  [[nodiscard]] bool cancelled() const override {
    return phases.size() >= cancel_after || (cancel_when && cancel_when());
  }

  std::vector<std::string> phases;
  std::vector<Notice> notices;
  est::Traffic traffic;  ///< of the last job
  std::function<void(Phase)> at_phase;
  std::function<bool()> cancel_when;
  std::size_t cancel_after = ~std::size_t{0};
};

/// The CAs that all tests of one process share: openssl takes its time.
class Authorities {
 public:
  static Authorities& get();
  TestPki pki;
  TestCredential manufacturer;
  TestCredential operator_ca;
  TestCredential other_ca;
  TestCredential server;

 private:
  Authorities();
};

/// A device with an IDevID ("/O=Maker/serialNumber=SN-17") in a fake token, and the operator's EST server. One
/// identity, "gateway".
class Site : public testing::Test {
 protected:
  Site();

  /// Starts the server, in place of the one that is there.
  void start_server(Seconds lifetime = std::chrono::hours(24), std::vector<KeygenRecipient> recipients = {});
  /// The profile without the proof of what is new: for tests that count what a rotation itself takes.
  void prove_nothing();
  /// Writes the profile of an identity: the least, with `more` lines at the end.
  void write_profile(const std::string& more = {}, const std::string& name = "gateway");
  void write_file(const std::filesystem::path& file, const std::string& text) const;
  /// devidd starts, or starts again.
  void load();
  [[nodiscard]] std::unique_ptr<Agent> load_from(const std::filesystem::path& state);

  Result<JobResult> run(JobKind kind, JobOptions options = {});
  /// A job that must succeed.
  void enroll();
  void renew();

  [[nodiscard]] identity::Status status(const std::string& name = "gateway") const;
  /// The job that would bring "gateway" forward, due or not.
  [[nodiscard]] JobKind kind_that_helps() const;
  /// Every file below the identity's `current`, by name.
  [[nodiscard]] std::map<std::string, std::string> current_files() const;
  /// A request that was not answered, or a certificate that was not proved.
  [[nodiscard]] bool has_request() const { return std::filesystem::exists(directory() / "request") || has_candidate(); }
  [[nodiscard]] bool has_candidate() const { return std::filesystem::exists(directory() / "candidate"); }
  /// As if the request on disk, and its key, had never been.
  void drop_request();
  /// The bodies of what was posted.
  [[nodiscard]] std::vector<std::string> posted() const;
  /// The sentences of what was noticed.
  [[nodiscard]] std::vector<std::string> noticed() const;
  /// The key, the certificate and the names at `current` belong together, and the chain leads to the operator's CA.
  void expect_usable_current() const;

  [[nodiscard]] std::filesystem::path state() const { return directory_.path() / "var"; }
  [[nodiscard]] std::filesystem::path directory() const { return state() / "gateway"; }
  [[nodiscard]] std::filesystem::path etc() const { return directory_.path() / "etc"; }

  TemporaryDirectory directory_;
  FakeHardware hardware_;
  FakeHardware hsm_;  ///< what is behind each token of PKCS#11 that the configuration names
  std::string idevid_ = "[idevid]\nkey = \"handle:0x81020000\"\ncertificate = \"nv:0x01c90200\"\n";
  HandClock clock_;
  RecordingObserver observer_;
  std::unique_ptr<EstServer> server_;
  std::unique_ptr<Agent> agent_;
};

}  // namespace devid::test
