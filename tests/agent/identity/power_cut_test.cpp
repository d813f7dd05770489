#include <gmock/gmock.h>

#include <chrono>
#include <iostream>
#include <set>
#include <thread>

#include "agent/identity/abandoned_keys.h"
#include "agent/identity/store.h"
#include "base/file.h"
#include "tests/agent/identity/site.h"
#include "tests/support/background.h"
#include "tests/support/killed_child.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;
using testing::IsEmpty;
using testing::IsSubsetOf;

/// A device whose token keeps its keys on the same disk, and whose server is a process of its own. It loses power at
/// every point of what it does.
class APowerCut : public Site {
 protected:
  APowerCut() {
    agent_.reset();
    server_.reset();  // with its threads: this process forks
    const auto& all = Authorities::get();
    const fs::path port = directory_.path() / "port";
    process_ = std::make_unique<BackgroundProcess>(
        std::vector<std::string>{DEVID_TEST_EST_SERVER, "--server-cert", all.server.full_chain, "--server-key",
                                 all.server.key, "--manufacturer-ca", all.manufacturer.certificate, "--issuer-cert",
                                 all.operator_ca.certificate, "--issuer-key", all.operator_ca.key, "--port-file", port,
                                 "--die-with-parent"},
        std::vector<std::string>(), directory_.path() / "server.log");
    for (int i = 0; i < 500 && !fs::exists(port); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    url_ = "https://localhost:" + read_file(port, 100).value_or("");
    url_.pop_back();
    fs::create_directories(keys());
    profile();
  }

  void profile(const std::string& renewal = {}) {
    write_file(etc() / "identities.d/gateway.toml", "[server]\nurl = \"" + url_ + "\"\ntrust_anchors = \"" +
                                                        Authorities::get().operator_ca.certificate.string() + "\"\n" +
                                                        idevid_ + "[renewal]\n" + renewal);
    start();
  }
  [[nodiscard]] fs::path keys() const { return directory_.path() / "keys"; }
  /// devidd starts, with what is on disk.
  void start() {
    hardware_.keep_in(keys());
    load();
  }
  void take_snapshot(const fs::path& to) const {
    constexpr auto everything = fs::copy_options::recursive | fs::copy_options::copy_symlinks;
    fs::create_directories(to);
    if (fs::exists(state())) fs::copy(state(), to / "var", everything);
    fs::copy(keys(), to / "keys", everything);
  }
  void go_back_to(const fs::path& snapshot) const {
    constexpr auto everything = fs::copy_options::recursive | fs::copy_options::copy_symlinks;
    fs::remove_all(state());
    fs::remove_all(keys());
    if (fs::exists(snapshot / "var")) fs::copy(snapshot / "var", state(), everything);
    fs::copy(snapshot / "keys", keys(), everything);
  }

  /// Carries out `action` in a process that loses power before each change that it makes to the disk, and `check` on
  /// what each of these leaves. Returns how many points there were.
  unsigned at_every_point(const std::string& what, const std::function<bool()>& action,
                          const std::function<void(bool has_candidate)>& check) {
    agent_.reset();
    const fs::path snapshots = snapshots_.path() / what;
    unsigned taken = 0;
    const unsigned points = look_before_each_change(
        [&] {
          start();
          return action();
        },
        [&] { take_snapshot(snapshots / std::to_string(taken++)); });
    for (unsigned point = 0; point < points; ++point) {
      SCOPED_TRACE(what + ", point " + std::to_string(point));
      agent_.reset();
      go_back_to(snapshots / std::to_string(point));
      const std::string candidate = file("candidate");
      start();
      check(!candidate.empty() && candidate != file("current"));
      if (HasFailure()) return 0;
    }
    std::cout << "power was cut at " << points << " points of: " << what << "\n";
    return points;
  }

  [[nodiscard]] std::string file(const std::string& place) const {
    return read_file(directory() / place / "certificate.pem", 100000).value_or("");
  }

  void expect_matching_credential() {
    const auto current = std::move(*identity::Store::open(directory())).current();
    ASSERT_TRUE(current) << current.error().sentence();
    ASSERT_TRUE(*current);
    EXPECT_EQ((*current)->number, status().generation);
    expect_usable_current();
  }

  /// The next job ends what was begun, and leaves no key and no file that nothing refers to.
  void finish(bool has_candidate) {
    const auto result = run(kind_that_helps());
    ASSERT_TRUE(result) << result.error().sentence();
    if (has_candidate) {
      EXPECT_THAT(observer_.phases, testing::Not(testing::Contains("requesting"))) << "the answer was there already";
    }
    expect_matching_credential();
    expect_nothing_left();
  }

  void expect_nothing_left() {
    const auto store = std::move(*identity::Store::open(directory()));
    const auto used = store.keys_of_generations();
    ASSERT_TRUE(used);
    EXPECT_EQ(hardware_.pems(), *used);
    EXPECT_THAT(names(directory()), IsSubsetOf({"generation", "current", "state.json", "idevid.json",
                                                "rolled-back.json", "trust-anchors.json"}));
    for (const auto& name : names(directory() / "generation"))
      EXPECT_EQ(name.find_first_not_of("0123456789"), name.npos);
  }
  [[nodiscard]] static std::set<std::string> names(const fs::path& directory) {
    std::set<std::string> all;
    for (const auto& entry : fs::directory_iterator(directory)) all.insert(entry.path().filename());
    return all;
  }
  bool runs(JobKind kind, JobOptions options = {}) {
    const auto result = run(kind, options);
    return result && *result == JobResult::done;
  }

  TemporaryDirectory snapshots_{"/dev/shm"};
  std::unique_ptr<BackgroundProcess> process_;
  std::string url_;
};

TEST_F(APowerCut, AtEveryPointOfARotationLeavesAMatchingCredentialAndNothingElse) {
  unsigned points = at_every_point(
      "an enrollment", [&] { return runs(JobKind::enroll); },
      [&](bool has_candidate) {
        if (status().generation != 0) expect_matching_credential();
        finish(has_candidate);
      });
  start();
  ASSERT_EQ(status().generation == 0, false);
  const auto renewed = [&](bool has_candidate) {
    expect_matching_credential();
    finish(has_candidate);
  };
  points += at_every_point("a renewal with a new key", [&] { return runs(JobKind::renew); }, renewed);
  profile("rekey = \"never\"\n");
  points += at_every_point("a renewal with the same key", [&] { return runs(JobKind::renew); }, renewed);
  profile("keep_old = \"0s\"\n");
  points += at_every_point(
      "a renewal after which the old generations go",
      [&] { return runs(JobKind::renew) && !agent_->retire_old().empty(); },
      [&](bool has_candidate) {
        expect_matching_credential();
        const auto result = run(kind_that_helps());
        ASSERT_TRUE(result) << result.error().sentence();
        for (const auto& [name, retired] : agent_->retire_old()) EXPECT_TRUE(retired);
        if (has_candidate) {
          EXPECT_THAT(observer_.phases, testing::Not(testing::Contains("requesting")));
        }
        EXPECT_EQ(names(directory() / "generation").size(), 1U);
        expect_matching_credential();
        expect_nothing_left();
      });
  profile();
  start();
  ASSERT_TRUE(runs(JobKind::renew));
  const auto newest = status().generation;
  points += at_every_point(
      "a rollback", [&] { return agent_->rollback("gateway").has_value(); },
      [&](bool) {
        expect_matching_credential();
        EXPECT_GE(names(directory() / "generation").size(), 2U) << "the one that was rolled back from stays";
        if (status().generation == newest) {
          EXPECT_TRUE(agent_->rollback("gateway"));
        }
        EXPECT_LT(status().generation, newest);
        finish(false);
        EXPECT_GT(status().generation, newest);
      });
  points += at_every_point(
      "a device that is forgotten", [&] { return agent_->forget("gateway").has_value(); },
      [&](bool) {
        if (status().generation != 0) expect_matching_credential();
        ASSERT_TRUE(agent_->forget("gateway"));
        EXPECT_EQ(status().generation, 0U);
        EXPECT_THAT(names(directory()), IsEmpty());
        EXPECT_THAT(hardware_.pems(), IsEmpty());
      });
  std::cout << "power was cut at " << points << " points in all\n";
  RecordProperty("points", static_cast<int>(points));
  EXPECT_GE(points, 200U);
}

}  // namespace
}  // namespace devid::test
