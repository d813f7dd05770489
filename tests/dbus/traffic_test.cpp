// What an enrollment and a renewal cost on the wire, with the real devidd: what the EST server counts, and what devidd
// says of it in its log.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <regex>

#include "tests/dbus/device.h"
#include "tests/support/asn1_text.h"

namespace devid::test {
namespace {

/// A job's cost.
struct Cost {
  std::size_t requests = 0;
  std::size_t handshakes = 0;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
};

/// One kind of server, and what it asks of the device.
struct Wishes {
  std::string name;
  std::function<void(EstServerSpec&)> server;
  std::string profile;  ///< more lines of [server]
  std::vector<std::string> operations = {"cacerts", "csrattrs", "simpleenroll"};
  std::size_t handshakes = 1;
};

/// CsrAttrs, DER: a P-256 key, and proof of possession if `binding`.
Bytes attributes(bool binding) {
  Asn1Text text;
  std::vector<std::string> elements = {text.attribute("1.2.840.10045.2.1", {"OID:1.2.840.10045.3.1.7"})};
  if (binding) elements.emplace_back("OID:1.2.840.113549.1.9.7");
  return to_bytes(as_bytes(text.der(text.sequence(elements))));
}

/// The octets of a request as it came over the wire.
std::size_t size_of(const SeenRequest& request) {
  std::size_t size = (request.method + " " + request.target + " " + request.version + "\r\n").size();
  for (const auto& [name, value] : request.headers) size += (name + ": " + value + "\r\n").size();
  return size + 2 + request.body.size();
}

class TheCostOfADevice : public testing::Test {
 protected:
  /// What devidd said of its last job.
  [[nodiscard]] Cost said() const {
    static const std::regex pattern("(\\d+) requests?, (\\d+) TLS handshakes?, (\\d+) bytes sent, (\\d+) received; ");
    const std::string log = device_.bus().log();
    std::smatch last;
    for (auto match = std::sregex_iterator(log.begin(), log.end(), pattern); match != std::sregex_iterator(); ++match)
      last = *match;
    if (last.empty()) return {};
    return {.requests = std::stoul(last[1]),
            .handshakes = std::stoul(last[2]),
            .sent = std::stoull(last[3]),
            .received = std::stoull(last[4])};
  }

  void expect_cost(const Wishes& wishes, const std::string& job, const std::vector<std::string>& arguments) {
    SCOPED_TRACE(wishes.name + ", " + job);
    device_.server().forget();
    const auto outcome = device_.ctl(arguments);
    ASSERT_EQ(outcome.status, 0) << outcome.errors << device_.bus().log();
    std::vector<std::string> operations;
    std::size_t octets = 0;
    for (const auto& request : device_.server().requests()) {
      operations.push_back(request.target.substr(request.target.rfind('/') + 1));
      octets += size_of(request);
    }
    auto expected = wishes.operations;
    for (auto& operation : expected)
      if (operation == "simpleenroll" && job == "renewal") operation = "simplereenroll";
    EXPECT_EQ(operations, expected) << "no more requests than operations";
    EXPECT_EQ(device_.server().handshakes(), wishes.handshakes);
    EXPECT_EQ(device_.server().connections(), wishes.handshakes);
    const Cost cost = said();
    EXPECT_EQ(cost.requests, operations.size()) << "what devidd says is what its server counts";
    EXPECT_EQ(cost.handshakes, wishes.handshakes);
    EXPECT_EQ(cost.sent, octets);
    EXPECT_LT(cost.sent, 4096U);
    EXPECT_GT(cost.received, 1000U);
    EXPECT_LT(cost.received, 8192U);
    std::cout << "cost | " << wishes.name << " | " << job << " | " << cost.requests << " requests | " << cost.handshakes
              << " TLS handshakes | " << cost.sent << " bytes sent | " << cost.received << " bytes received\n";
  }

  Device device_;
};

TEST_F(TheCostOfADevice, IsOneRequestAnOperationAndOneHandshake) {
  const auto basic = [](EstServerSpec& spec) { spec.login = EstLogin{.user = "device", .password = "secret word"}; };
  const auto password = device_.configuration() / "password";
  device_.write_configuration("password", "secret word\n");
  std::filesystem::permissions(password, std::filesystem::perms::owner_read);
  const std::vector<Wishes> all = {
      {.name = "no wishes", .server = {}, .profile = {}},
      {.name = "csrattrs",
       .server = [](EstServerSpec& spec) { spec.csr_attributes = attributes(false); },
       .profile = {}},
      {.name = "csrattrs and proof of possession, TLS 1.2",
       .server =
           [](EstServerSpec& spec) {
             spec.csr_attributes = attributes(true);
             spec.demand_binding = true;
             spec.tls = TlsVersion::tls_1_2;
           },
       .profile = {}},
      {.name = "proof of possession that the profile names",
       .server = [](EstServerSpec& spec) { spec.demand_binding = true; },
       .profile = "channel_binding = \"tls-unique\"\n"},
      {.name = "proof of possession, away from TLS 1.3",
       .server =
           [](EstServerSpec& spec) {
             spec.csr_attributes = attributes(true);
             spec.demand_binding = true;
           },
       .profile = {},
       .handshakes = 2},
      {.name = "proof of possession that is missed at first, TLS 1.2",
       .server =
           [](EstServerSpec& spec) {
             spec.demand_binding = true;
             spec.tls = TlsVersion::tls_1_2;
           },
       .profile = {},
       .operations = {"cacerts", "csrattrs", "simpleenroll", "simpleenroll"}},
      {.name = "Basic besides the certificate",
       .server = basic,
       .profile = "[server.authentication]\nuser = \"device\"\nscheme = \"basic\"\npassword = \"" + password.string() +
                  "\"\n"},
  };
  for (const auto& wishes : all) {
    device_.change_server(wishes.server);
    // The proof of the new certificate is a connection and a request of its own: rotation_proof_test has it.
    device_.write_profile("gateway", wishes.profile + "[renewal]\nprove = false\n");
    ASSERT_EQ(device_.ctl({"reload"}).status, 0) << device_.bus().log();
    expect_cost(wishes, "enrollment", {"enroll", "gateway", "--force"});
    expect_cost(wishes, "renewal", {"renew", "gateway"});
  }
}

TEST_F(TheCostOfADevice, IsSaidOfAJobThatWaits) {
  device_.server().misbehave(EstOperation::simpleenroll, {.status = 202, .retry_after = "600"}, 1);
  ASSERT_EQ(device_.ctl({"enroll", "gateway"}).status, 5);
  EXPECT_EQ(said().requests, 3U);
  EXPECT_THAT(device_.bus().log(), testing::HasSubstr("enroll is pending at the CA; 3 requests, 1 TLS handshake, "));
}

}  // namespace
}  // namespace devid::test
