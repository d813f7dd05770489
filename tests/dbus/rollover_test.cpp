// A CA that changes its root between two renewals: the real devidd finds it out, and tells the bus.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sdbus-c++/sdbus-c++.h>

#include <csignal>
#include <fstream>

#include "base/file.h"
#include "tests/dbus/device.h"

namespace devid::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Enrolled, and the CA has a new root since. The next look at the CA is due.
class ADeviceWhoseCaHasANewRoot : public testing::Test {
 protected:
  ADeviceWhoseCaHasANewRoot() {
    auto& pki = device_.pki();
    auto root = TestPki::ca_spec("");
    root.subject = "/CN=operator root";
    for (const char* name : {"new root", "another root"}) pki.make_ca(name, root);
    EXPECT_EQ(device_.ctl({"enroll", "gateway"}).status, 0) << device_.bus().log();
  }

  /// The new root and a link to it that this CA has signed join what the server offers.
  void offer_link_by(const std::string& issuer) {
    auto& pki = device_.pki();
    auto spec = TestPki::ca_spec("");
    spec.subject = "/CN=operator root";
    spec.issuer = issuer;
    const std::string request =
        output_of({.argv = {"openssl", "req", "-new", "-key", pki.ca("new root").key, "-subj", "/CN=operator root"}});
    const std::string link = pki.sign_request(request, spec).certificate_pem;
    const auto file = device_.configuration() / "offered.pem";
    std::ofstream(file) << pki.ca("operator root").certificate_pem << pki.ca("new root").certificate_pem << link;
    device_.change_server([file](EstServerSpec& server) { server.issuer_chain = file; });
  }

  /// A day goes by, as far as devidd can tell.
  void let_a_look_be_due() {
    ASSERT_TRUE(device_.bus().kill_owner(SIGTERM));
    const auto file = device_.state() / "gateway/state.json";
    auto record = nlohmann::json::parse(content_of(file));
    ASSERT_TRUE(record.contains("next_refresh")) << record;
    record["next_refresh"] = 1;
    std::ofstream(file) << record;
  }

  /// Runs what is due. The signals Rotated of the meantime.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> rotations_of_run() {
    const auto connection = sdbus::createSessionBusConnectionWithAddress(device_.bus().address());
    std::vector<std::pair<std::uint64_t, std::uint64_t>> rotations;
    const auto identity = sdbus::createProxy(*connection, "org.devid1", "/org/devid1/identity/gateway");
    identity->uponSignal("Rotated")
        .onInterface("org.devid1.Identity")
        .call([&](std::uint64_t before, std::uint64_t after) { rotations.emplace_back(before, after); });
    identity->finishRegistration();
    const auto due = device_.ctl({"run-due"});
    EXPECT_EQ(due.status, 0) << due.errors << device_.bus().log();
    EXPECT_THAT(due.output, HasSubstr("gateway: ca-certificates"));
    // The bus keeps the order: what devidctl has heard of, this connection has been sent.
    while (connection->processPendingRequest()) continue;
    return rotations;
  }
  static std::string content_of(const std::filesystem::path& file) {
    return read_file(file, 1U << 20U).value_or("unreadable");
  }
  [[nodiscard]] std::string current(const std::string& file) const { return content_of(device_.current() / file); }

  Device device_;
};

TEST_F(ADeviceWhoseCaHasANewRoot, TakesItInByALookAndTellsTheBus) {
  const std::string key = current("token-key.pem");
  const std::string certificate = current("certificate.pem");
  offer_link_by("operator root");
  let_a_look_be_due();
  EXPECT_THAT(rotations_of_run(), ElementsAre(std::pair(1U, 2U)));
  EXPECT_EQ(device_.status()["generation"], 2);
  EXPECT_EQ(device_.status()["state"], "valid");
  EXPECT_EQ(current("token-key.pem"), key);
  EXPECT_EQ(current("certificate.pem"), certificate);
  EXPECT_EQ(current("trust-anchors.pem"),
            device_.pki().ca("operator root").certificate_pem + device_.pki().ca("new root").certificate_pem);
  EXPECT_EQ(flaw_of_key(device_.current(), device_.swtpm().tcti()), "");
  EXPECT_THAT(device_.bus().log(), HasSubstr("identity 'gateway': the CA has a new root, CN=operator root"));
  EXPECT_EQ(device_.server().requests().size(), 1U) << "no more than a look";
  EXPECT_EQ(device_.ctl({"run-due"}).output, "nothing is due\n");
  ASSERT_EQ(device_.ctl({"renew", "gateway"}).status, 0) << device_.bus().log();
  EXPECT_EQ(current("trust-anchors.pem"),
            device_.pki().ca("operator root").certificate_pem + device_.pki().ca("new root").certificate_pem);
}

TEST_F(ADeviceWhoseCaHasANewRoot, ChangesNothingForALinkThatDoesNotHoldAndSaysSo) {
  const auto generation = std::filesystem::canonical(device_.current());
  const std::string anchors = current("trust-anchors.pem");
  offer_link_by("another root");
  let_a_look_be_due();
  EXPECT_THAT(rotations_of_run(), IsEmpty());
  EXPECT_EQ(std::filesystem::canonical(device_.current()), generation);
  EXPECT_EQ(current("trust-anchors.pem"), anchors);
  EXPECT_EQ(device_.status()["generation"], 1);
  EXPECT_THAT(device_.bus().log(), HasSubstr("identity 'gateway': the CA offers what is not trusted"));
  const std::string log = device_.bus().log();
  const std::string entry = "generation 1 is in place";
  EXPECT_EQ(log.find(entry), log.rfind(entry)) << "a look that brought nothing is no news: " << log;
}

TEST_F(ADeviceWhoseCaHasANewRoot, SaysWhenItLooksAgainAfterALookThatFailed) {
  device_.server().misbehave(EstOperation::cacerts, misbehaviour("status-503"));
  let_a_look_be_due();
  EXPECT_NE(device_.ctl({"run-due"}).status, 0);
  EXPECT_THAT(device_.bus().log(), HasSubstr("the credential of generation 1 stays; looks again at 20"));
}

TEST_F(ADeviceWhoseCaHasANewRoot, RenewsBehindALookThatIsUnderWay) {
  device_.server().misbehave(EstOperation::cacerts, misbehaviour("late"), 1);
  let_a_look_be_due();
  const auto connection = sdbus::createSessionBusConnectionWithAddress(device_.bus().address());
  std::vector<sdbus::ObjectPath> jobs;
  sdbus::createProxy(*connection, "org.devid1", "/org/devid1")
      ->callMethod("RunDue")
      .onInterface("org.devid1.Manager")
      .storeResultsTo(jobs);
  ASSERT_EQ(jobs.size(), 1U);
  const auto renewed = device_.ctl({"renew", "gateway"});
  EXPECT_EQ(renewed.status, 0) << renewed.errors << device_.bus().log();
  EXPECT_EQ(device_.status()["generation"], 2) << "the look is not the renewal";
}

}  // namespace
}  // namespace devid::test
