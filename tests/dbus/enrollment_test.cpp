#include <gtest/gtest.h>

#include <iostream>

#include "tests/dbus/device.h"

namespace devid::test {
namespace {

class ANewDevice : public ::testing::Test {
 protected:
  void expect_proof_within_the_numbers();

  Device device_;
};

/// Counts without what a fresh swtpm makes ESYS send twice.
std::size_t commands(const TpmTap::Seen& seen) { return seen.commands.size() - seen.retried; }

/// A renewal that proves what is new, by a devidd that was just started.
void ANewDevice::expect_proof_within_the_numbers() {
  device_.write_profile("gateway");
  ASSERT_TRUE(device_.bus().kill_owner(SIGTERM));
  device_.tap().reset();
  device_.server().forget();
  ASSERT_EQ(device_.ctl({"renew", "gateway"}).status, 0) << device_.bus().log();
  ASSERT_TRUE(device_.bus().kill_owner(SIGTERM));
  const auto seen = device_.tap().seen();
  std::cout << "renewal with its proof: " << seen.summary() << "; " << device_.server().handshakes()
            << " TLS handshakes, " << device_.server().requests().size() << " requests\n";
  EXPECT_LE(commands(seen), 20U);
  EXPECT_LE(seen.most_transient, 2U);
  EXPECT_LE(seen.most_before_create_or_load, 1U);
  EXPECT_EQ(device_.server().handshakes(), 2U);
}

TEST_F(ANewDevice, ObtainsItsLdevidAndRenewsItWithinTheNumbersThatArePromised) {
  // An SRK is there, as on a device whose TPM was provisioned, and where the IDevID is was found out before: the number
  // is for that case. What the proof of a new credential takes is counted below.
  device_.write_profile("gateway", "[renewal]\nprove = false\n");
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0);
  const auto memory = device_.state() / "gateway/idevid.json";
  ASSERT_TRUE(std::filesystem::exists(memory));
  std::filesystem::rename(memory, device_.state() / "idevid.json");
  std::filesystem::remove_all(device_.state() / "gateway");
  std::filesystem::create_directory(device_.state() / "gateway");
  std::filesystem::rename(device_.state() / "idevid.json", memory);
  ASSERT_TRUE(device_.bus().kill_owner(SIGTERM));
  device_.tap().reset();
  device_.server().forget();

  const auto enrolled = device_.ctl({"run-due"});
  ASSERT_EQ(enrolled.status, 0) << enrolled.output << enrolled.errors << device_.bus().log();
  ASSERT_TRUE(device_.bus().kill_owner(SIGTERM));  // what it gives back when it leaves counts, too
  const auto enrollment = device_.tap().seen();
  std::cout << "enrollment: " << enrollment.summary() << "; at most " << enrollment.most_transient << " transient; "
            << device_.server().connections() << " TCP connection, " << device_.server().handshakes()
            << " TLS handshake, " << device_.server().requests().size() << " requests\n";
  EXPECT_LE(commands(enrollment), 12U);
  EXPECT_LE(enrollment.most_transient, 2U);
  EXPECT_LE(enrollment.most_before_create_or_load, 1U);
  EXPECT_EQ(device_.server().connections(), 1U);
  EXPECT_EQ(device_.server().handshakes(), 1U);
  EXPECT_EQ(flaw_of_current(device_.current(), device_.operator_root()), "");
  EXPECT_EQ(flaw_of_key(device_.current(), device_.swtpm().tcti()), "");

  // A renewal by a devidd that was just started, which is what a timer meets.
  device_.tap().reset();
  device_.server().forget();
  const auto renewed = device_.ctl({"renew", "gateway"});
  ASSERT_EQ(renewed.status, 0) << renewed.output << renewed.errors << device_.bus().log();
  ASSERT_TRUE(device_.bus().kill_owner(SIGTERM));
  const auto renewal = device_.tap().seen();
  std::cout << "renewal: " << renewal.summary() << "; " << device_.server().connections() << " TCP connection, "
            << device_.server().handshakes() << " TLS handshake, " << device_.server().requests().size()
            << " requests\n";
  EXPECT_LE(commands(renewal), 14U);
  EXPECT_LE(renewal.most_transient, 2U);
  EXPECT_LE(renewal.most_before_create_or_load, 1U);
  EXPECT_EQ(device_.server().connections(), 1U);
  EXPECT_EQ(device_.server().handshakes(), 1U);
  EXPECT_EQ(device_.status()["generation"], 2);
  expect_proof_within_the_numbers();
  EXPECT_EQ(flaw_of_current(device_.current(), device_.operator_root()), "");
  EXPECT_EQ(flaw_of_key(device_.current(), device_.swtpm().tcti()), "");
}

TEST_F(ANewDevice, EnrollsWithItsIdevidAndRenewsWithItsLdevid) {
  ASSERT_EQ(device_.ctl({"enroll", "gateway"}).status, 0) << device_.bus().log();
  ASSERT_EQ(device_.ctl({"renew", "gateway"}).status, 0) << device_.bus().log();
  const auto requests = device_.server().requests();
  ASSERT_FALSE(requests.empty());
  std::vector<std::string> posts;
  for (const auto& request : requests)
    if (request.method == "POST")
      posts.push_back(request.target.substr(request.target.rfind('/')) + " by " + request.client);
  ASSERT_EQ(posts.size(), 2U);
  EXPECT_EQ(posts[0].rfind("/simpleenroll by ", 0), 0U) << posts[0];
  EXPECT_EQ(posts[1].rfind("/simplereenroll by ", 0), 0U) << posts[1];
  EXPECT_NE(posts[0].substr(posts[0].find(" by ")), posts[1].substr(posts[1].find(" by ")));
  EXPECT_NE(device_.server().issued()[0], device_.server().issued()[1]);
  EXPECT_NE(public_key_of_certificate(device_.server().issued()[0]),
            public_key_of_certificate(device_.server().issued()[1]))
      << "a renewal makes a new key";
}

TEST_F(ANewDevice, PrintsEachPhaseAsItHappens) {
  const auto outcome = device_.ctl({"run-due"});
  ASSERT_EQ(outcome.status, 0) << outcome.errors;
  std::size_t at = 0;
  for (const char* phase : {"connecting", "ca-certificates", "creating-key", "requesting", "verifying", "installing"}) {
    const auto found = outcome.output.find(std::string("gateway: ") + phase, at);
    ASSERT_NE(found, std::string::npos) << phase << " is not there in its place: " << outcome.output;
    at = found;
  }
  EXPECT_NE(outcome.output.find("gateway: done, generation 1"), std::string::npos) << outcome.output;
}

TEST_F(ANewDevice, HasNothingDueOnceItIsEnrolled) {
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0);
  device_.server().forget();
  const auto again = device_.ctl({"run-due"});
  EXPECT_EQ(again.status, 0);
  EXPECT_EQ(again.output, "nothing is due\n");
  EXPECT_EQ(device_.server().connections(), 0U);
}

TEST_F(ANewDevice, ShowsEveryPropertyInSnakeCase) {
  const auto fresh = device_.status();
  EXPECT_EQ(fresh["state"], "unenrolled");
  EXPECT_EQ(fresh["generation"], 0);
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0);
  const auto status = device_.status();
  for (const char* property : {"name",           "state",
                               "reason",         "generation",
                               "subject",        "issuer",
                               "serial_number",  "fingerprint",
                               "not_before",     "not_after",
                               "key_uri",        "key_algorithm",
                               "key_protection", "certificate_file",
                               "chain_file",     "trust_anchors_file",
                               "next_attempt",   "last_attempt",
                               "last_success",   "last_error",
                               "attempts"})
    EXPECT_TRUE(status.contains(property)) << property;
  EXPECT_EQ(status["state"], "valid");
  EXPECT_EQ(status["key_algorithm"], "ec-p256");
  EXPECT_EQ(status["key_protection"], "tpm2");
  EXPECT_EQ(status["certificate_file"], (device_.current() / "certificate.pem").string());
  EXPECT_TRUE(status["last_error"].is_null());
  const auto lifetime = status["not_after"].get<std::int64_t>() - status["not_before"].get<std::int64_t>();
  const auto renewal = status["next_attempt"].get<std::int64_t>() - status["not_before"].get<std::int64_t>();
  EXPECT_LE(renewal, lifetime * 2 / 3 + 2);
  EXPECT_GE(renewal, lifetime / 15) << "what an enrollment brought is renewed after a tenth of that at the earliest";
}

TEST_F(ANewDevice, ShowsTheCertificateInWords) {
  EXPECT_EQ(device_.ctl({"show", "gateway"}).status, 1) << "there is nothing to show yet";
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0);
  const auto shown = device_.ctl({"show", "gateway"});
  ASSERT_EQ(shown.status, 0) << shown.errors;
  EXPECT_NE(shown.output.find("DEV-0001"), std::string::npos) << shown.output;
  EXPECT_NE(shown.output.find("operator issuing"), std::string::npos) << shown.output;
  const auto json = nlohmann::json::parse(device_.ctl({"show", "gateway", "--json"}).output);
  EXPECT_NE(json["credential"]["certificate"].get<std::string>().find("BEGIN CERTIFICATE"), std::string::npos);
  EXPECT_EQ(json["credential"].dump().find("PRIVATE KEY"), std::string::npos);
}

TEST_F(ANewDevice, AnswersWithTheDocumentedExitCodes) {
  EXPECT_EQ(device_.ctl({"status"}).status, 1) << "not enrolled is not healthy";
  EXPECT_EQ(device_.ctl({"status", "nobody"}).status, 3);
  EXPECT_EQ(device_.ctl({"enroll"}).status, 2);
  EXPECT_EQ(device_.ctl({"frobnicate"}).status, 2);
  EXPECT_EQ(device_.ctl({"--help"}).status, 0);
  const auto early = device_.ctl({"renew", "gateway"});
  EXPECT_EQ(early.status, 1);
  EXPECT_NE(early.errors.find("error: "), std::string::npos);
  EXPECT_NE(early.errors.find("hint: devidctl enroll gateway"), std::string::npos) << early.errors;
  device_.server().misbehave(EstOperation::simpleenroll, {.status = 202, .retry_after = "600"}, 1);
  EXPECT_EQ(device_.ctl({"enroll", "gateway"}).status, 5) << "pending";
  EXPECT_EQ(device_.status()["state"], "pending");
  EXPECT_EQ(device_.ctl({"enroll", "gateway"}).status, 0);
  EXPECT_EQ(device_.ctl({"status"}).status, 0);
  EXPECT_EQ(device_.ctl({"enroll", "gateway"}).status, 1) << "there is a valid credential";
}

TEST_F(ANewDevice, KeepsItsStateWhenDeviddIsStartedAgain) {
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0);
  const auto before = device_.status();
  ASSERT_TRUE(device_.bus().kill_owner(SIGTERM));
  const auto after = device_.status();
  EXPECT_EQ(before, after);
}

}  // namespace
}  // namespace devid::test
