// The operator's word on a CA: from devidctl to the file that the next job reads, with the real devidd.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <csignal>

#include "agent/identity/trust_store.h"
#include "tests/dbus/bus_client.h"
#include "tests/dbus/device.h"
#include "tests/support/certificate_of.h"

namespace devid::test {
namespace {

using identity::TrustStore;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// What its server showed at the first contact is there before devidd starts.
class ADeviceThatMetItsServer : public testing::Test {
 protected:
  ADeviceThatMetItsServer() {
    std::filesystem::create_directories(device_.state() / "gateway");
    EXPECT_TRUE(store().saw(endpoint(), {root(), issuing()}, SystemClock().now()));
  }

  [[nodiscard]] TrustStore store() const { return TrustStore(identity::trust_file(device_.state() / "gateway")); }
  [[nodiscard]] std::string endpoint() {
    return "https://127.0.0.1:" + std::to_string(device_.server().port()) + "/.well-known/est";
  }
  [[nodiscard]] pki::Certificate root() { return certificate_of(device_.pki().ca("operator root").certificate_pem); }
  [[nodiscard]] pki::Certificate issuing() {
    return certificate_of(device_.pki().ca("operator issuing").certificate_pem);
  }
  [[nodiscard]] std::vector<pki::Certificate> trusted() {
    auto anchors = store().anchors({}, endpoint(), SystemClock().now());
    return anchors ? *anchors : std::vector<pki::Certificate>{};
  }

  Device device_;
};

/// "AB:CD:…", as openssl prints it.
std::string with_colons(const std::string& fingerprint) {
  std::string text;
  for (const char c : fingerprint) {
    if (text.size() % 3 == 2) text += ':';
    text += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return text;
}

TEST_F(ADeviceThatMetItsServer, ShowsWhatItsServerOffersAndTrustsNothingOfIt) {
  const auto shown = device_.ctl({"trust", "gateway"});
  EXPECT_EQ(shown.status, 0) << shown.errors << device_.bus().log();
  EXPECT_THAT(shown.output, HasSubstr(endpoint() + " has shown these CAs. It could not be verified"));
  EXPECT_THAT(shown.output, HasSubstr("CN=operator root"));
  EXPECT_THAT(shown.output, HasSubstr(root().fingerprint()));
  EXPECT_THAT(shown.output, HasSubstr("devidctl trust gateway --fingerprint"));
  const auto as_json = device_.ctl({"trust", "gateway", "--json"});
  EXPECT_EQ(as_json.status, 0);
  const json offered = json::parse(as_json.output)["offered"];
  ASSERT_EQ(offered.size(), 2U);
  EXPECT_EQ(offered[0]["subject"], "CN=operator root");
  EXPECT_EQ(offered[0]["fingerprint"], root().fingerprint());
  EXPECT_EQ(offered[0]["not_after"], root().not_after().time_since_epoch().count());
  EXPECT_EQ(offered[0]["server"], endpoint());
  EXPECT_EQ(offered[1]["issuer"], "CN=operator root");
  EXPECT_EQ(device_.status()["pending_trust"], offered);
  EXPECT_THAT(trusted(), IsEmpty());
}

TEST_F(ADeviceThatMetItsServer, TrustsTheCaWhoseFingerprintAnOperatorGives) {
  const auto accepted = device_.ctl({"trust", "gateway", "--fingerprint", with_colons(root().fingerprint())});
  ASSERT_EQ(accepted.status, 0) << accepted.errors << device_.bus().log();
  EXPECT_THAT(accepted.output, HasSubstr("identity gateway trusts CN=operator root from now on, for " + endpoint()));
  EXPECT_THAT(accepted.output, HasSubstr("hint: devidctl run-due"));
  EXPECT_THAT(trusted(), ElementsAre(root()));
  EXPECT_EQ(device_.status()["pending_trust"].size(), 1U);
  EXPECT_THAT(device_.bus().log(), HasSubstr("the operator accepted CN=operator root for " + endpoint()));
  const auto more = device_.ctl({"trust", "gateway", "--json", "--fingerprint", issuing().fingerprint()});
  ASSERT_EQ(more.status, 0) << more.errors;
  EXPECT_EQ(json::parse(more.output)["trusted"]["fingerprint"], issuing().fingerprint());
  EXPECT_THAT(trusted(), ElementsAre(root(), issuing()));

  const auto nothing = device_.ctl({"trust", "gateway"});
  EXPECT_EQ(nothing.status, 1);
  EXPECT_THAT(nothing.output, HasSubstr("nothing is offered"));
  const auto nothing_json = device_.ctl({"trust", "gateway", "--json"});
  EXPECT_EQ(nothing_json.status, 1);
  EXPECT_EQ(json::parse(nothing_json.output), json::parse(R"({"offered": []})"));
  ASSERT_TRUE(device_.bus().kill_owner(SIGTERM));
  EXPECT_EQ(device_.ctl({"trust", "gateway"}).status, 1) << "the next devidd knows";
  EXPECT_THAT(trusted(), ElementsAre(root(), issuing()));
}

TEST_F(ADeviceThatMetItsServer, RefusesEveryOtherFingerprint) {
  const std::string fingerprint = root().fingerprint();
  struct Case {
    std::vector<std::string> arguments;
    int status;
    std::string errors;
  };
  const std::vector<Case> cases = {
      {{"trust", "gateway", "--fingerprint", std::string(64, 'a')}, 1, "offers " + fingerprint + " (CN=operator root)"},
      {{"trust", "gateway", "--fingerprint", fingerprint.substr(0, 63)}, 2, "it has 63 digits"},
      {{"trust", "gateway", "--fingerprint", fingerprint.substr(0, 8)}, 2, "it has 8 digits"},
      {{"trust", "gateway", "--fingerprint", fingerprint + "0"}, 2, "more than 64"},
      {{"trust", "gateway", "--fingerprint", ""}, 2, "it has 0 digits"},
      {{"trust", "gateway", "--fingerprint"}, 2, "--fingerprint"},
      {{"trust"}, 2, "NAME"},
      {{"trust", "nobody", "--fingerprint", fingerprint}, 3, "there is no identity 'nobody'"},
      {{"trust", "nobody"}, 3, "there is no identity 'nobody'"},
  };
  for (const auto& [arguments, status, errors] : cases) {
    const auto refused = device_.ctl(arguments);
    EXPECT_EQ(refused.status, status) << refused.output << refused.errors;
    EXPECT_THAT(refused.errors, HasSubstr(errors));
  }
  EXPECT_THAT(trusted(), IsEmpty());
  EXPECT_EQ(device_.status()["pending_trust"].size(), 2U);
}

TEST_F(ADeviceThatMetItsServer, ChecksWhatComesOverTheBusItself) {
  BusClient client(device_.bus());
  const auto trust = [&](const std::string& fingerprint) {
    return error_of([&] {
      std::map<std::string, sdbus::Variant> anchor;
      client.proxy("/org/devid1/identity/gateway")
          ->callMethod("Trust")
          .onInterface("org.devid1.Identity")
          .withArguments(fingerprint)
          .storeResultsTo(anchor);
    });
  };
  EXPECT_EQ(trust(""), "org.devid1.Error.Usage");
  EXPECT_EQ(trust(root().fingerprint().substr(1)), "org.devid1.Error.Usage");
  EXPECT_EQ(trust(std::string(1'000'000, 'a')), "org.devid1.Error.Usage");
  EXPECT_EQ(trust("\x1b[2J"), "org.devid1.Error.Usage");
  EXPECT_EQ(trust(std::string(64, 'a')), "org.devid1.Error.WrongState");
  EXPECT_THAT(trusted(), IsEmpty());
  EXPECT_THAT(device_.bus().log(), HasSubstr("nothing more is trusted than before"));
  EXPECT_EQ(trust(root().fingerprint()), "");
  EXPECT_THAT(trusted(), ElementsAre(root()));
}

TEST_F(ADeviceThatMetItsServer, OffersNothingOfAServerThatTheProfileHasNoMore) {
  ASSERT_EQ(device_.ctl({"trust", "gateway"}).status, 0);
  device_.write_configuration(
      "identities.d/gateway.toml",
      "[server]\nurl = \"https://other.example\"\ntrust_anchors = \"" + device_.operator_root().string() + "\"\n");
  ASSERT_EQ(device_.ctl({"reload"}).status, 0);
  EXPECT_EQ(device_.ctl({"trust", "gateway"}).status, 1);
  EXPECT_EQ(device_.ctl({"trust", "gateway", "--fingerprint", root().fingerprint()}).status, 1);
  EXPECT_THAT(store().record().accepted, IsEmpty());
}

}  // namespace
}  // namespace devid::test
