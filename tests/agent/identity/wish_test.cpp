#include "agent/identity/wish.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "agent/pki/facts.h"
#include "tests/support/certificate_of.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_pki.h"

namespace devid::identity {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Key;
using testing::Not;
using testing::Pair;
using Kind = pki::AlternativeName::Kind;
using Subject = std::vector<pki::NameAttribute>;

const Subject gateway = {{.type = "O", .value = "Example"}, {.type = "CN", .value = "gateway-17"}};

pki::Certificate shown(const std::string& subject, std::vector<std::string> alternatives = {}) {
  static test::TestPki pki;
  static const test::TestCredential ca = pki.make_ca("anybody");
  return test::certificate_of(
      pki.issue({.issuer = "anybody", .subject = subject, .alternative_names = std::move(alternatives)})
          .certificate_pem);
}

class AWish : public testing::Test {
 protected:
  [[nodiscard]] pki::RequestWish wish(JobKind kind, const std::optional<pki::Certificate>& client) const {
    auto made = wish_of(profile_, kind, client);
    EXPECT_TRUE(made) << made.error().sentence();
    return made ? std::move(*made) : pki::RequestWish{};
  }
  void expect_no_name(const std::optional<pki::Certificate>& client, const std::string& what) const {
    for (const JobKind kind : {JobKind::enroll, JobKind::renew}) {
      const auto made = wish_of(profile_, kind, client);
      ASSERT_FALSE(made);
      EXPECT_EQ(made.error().code, Errc::config_invalid);
      EXPECT_EQ(made.error().retry, Retry::after_operator);
      EXPECT_THAT(made.error().what, HasSubstr(what));
      EXPECT_THAT(made.error().hint, HasSubstr("/etc/devid/identities.d/gateway.toml"));
    }
  }

  Profile profile_{.name = "gateway", .file = "/etc/devid/identities.d/gateway.toml"};
};

TEST_F(AWish, IsForTheNamesAndKindsOfKeyOfTheProfile) {
  profile_.names = {.subject = gateway, .alternatives = {{.kind = Kind::dns, .value = "gateway.example"}}};
  profile_.key.algorithms = {KeyAlgorithm::rsa_2048, KeyAlgorithm::ec_p384};
  for (const JobKind kind : {JobKind::enroll, JobKind::renew}) {
    for (const auto& client : {std::optional<pki::Certificate>(),
                               std::optional(shown("/O=Maker/serialNumber=SN-17", {"DNS:other.example"}))}) {
      const auto made = wish(kind, client);
      EXPECT_EQ(made.names, profile_.names);
      EXPECT_EQ(made.name_policy, pki::NamePolicy::exact);
      EXPECT_EQ(made.algorithms, profile_.key.algorithms);
    }
  }
}

TEST_F(AWish, IsForTheSerialNumberOfTheDeviceWhereTheProfileNamesNoSubject) {
  profile_.names.alternatives = {{.kind = Kind::ip, .value = "192.0.2.7"}};
  for (const JobKind kind : {JobKind::enroll, JobKind::renew}) {
    const auto made = wish(kind, shown("/O=Maker/CN=device/serialNumber=SN-17"));
    EXPECT_EQ(made.names.subject, (Subject{{.type = "serialNumber", .value = "SN-17"}}));
    EXPECT_EQ(made.names.alternatives, profile_.names.alternatives);
  }
}

TEST_F(AWish, IsAnErrorWithoutAnyName) {
  expect_no_name(std::nullopt, "the device shows no certificate");
  expect_no_name(shown("/O=Maker/CN=device"), "the subject of the device's certificate has no serialNumber");
  expect_no_name(shown("/"), "has no serialNumber");
}

TEST_F(AWish, IsForWhatTheCaHasChosenWhereItMayChangeNamesAndTheDeviceRenews) {
  profile_.names = {.subject = gateway, .alternatives = {{.kind = Kind::dns, .value = "gateway.example"}}};
  profile_.name_policy = pki::NamePolicy::ca_may_change;
  const auto current = shown("/O=Operator/CN=unit 4", {"DNS:unit-4.example", "IP:192.0.2.4"});
  EXPECT_EQ(wish(JobKind::enroll, current).names, profile_.names);
  const auto made = wish(JobKind::renew, current);
  EXPECT_EQ(made.name_policy, pki::NamePolicy::ca_may_change);
  EXPECT_EQ(made.names.subject, (Subject{{.type = "O", .value = "Operator"}, {.type = "CN", .value = "unit 4"}}));
  EXPECT_THAT(made.names.alternatives, ElementsAre(pki::AlternativeName{.kind = Kind::dns, .value = "unit-4.example"},
                                                   pki::AlternativeName{.kind = Kind::ip, .value = "192.0.2.4"}));
  EXPECT_EQ(wish(JobKind::renew, std::nullopt).names, profile_.names);
}

TEST_F(AWish, MayBeForAnEmptySubjectThatTheCaHasChosen) {
  profile_.name_policy = pki::NamePolicy::ca_may_change;
  const auto made = wish(JobKind::renew, shown("/", {"DNS:unit-4.example"}));
  EXPECT_THAT(made.names.subject, IsEmpty());
  EXPECT_EQ(made.names.alternatives.size(), 1U);
  expect_no_name(shown("/"), "has no serialNumber");
}

TEST_F(AWish, IsAsInTheProfileForNamesThatDevidCannotAskForAgain) {
  profile_.names = {.subject = gateway, .alternatives = {{.kind = Kind::dns, .value = "gateway.example"}}};
  profile_.name_policy = pki::NamePolicy::ca_may_change;
  const auto made = wish(JobKind::renew, shown("/CN=unit 4", {"otherName:1.2.3.4;UTF8:x"}));
  EXPECT_EQ(made.names.subject, (Subject{{.type = "CN", .value = "unit 4"}}));
  EXPECT_EQ(made.names.alternatives, profile_.names.alternatives);
}

TEST_F(AWish, KnowsFactsOfTheProfileAndOfTheDevice) {
  profile_.facts = {{"1.2.3.4", "five"}};
  const auto made = wish(JobKind::enroll, shown("/serialNumber=SN-17"));
  EXPECT_THAT(made.facts, Contains(Pair("1.2.3.4", "five")));
  EXPECT_THAT(made.facts, Contains(Pair(pki::serial_number_oid, "SN-17")));
  const auto address = mac_address();
  EXPECT_EQ(made.facts.contains(pki::mac_address_oid), address.has_value());
  if (address) {
    EXPECT_EQ(made.facts.at(pki::mac_address_oid), *address);
  }
}

TEST_F(AWish, BelievesTheProfileBeforeTheDevice) {
  profile_.facts = {{pki::serial_number_oid, "4711"}, {pki::mac_address_oid, "02:00:5e:10:00:99"}};
  EXPECT_EQ(wish(JobKind::enroll, shown("/serialNumber=SN-17")).facts, profile_.facts);
  profile_.facts.clear();
  profile_.names.subject = gateway;
  EXPECT_THAT(wish(JobKind::enroll, shown("/serialNumber=SN-17")).facts, Not(Contains(Key(pki::serial_number_oid))))
      << "the subject that is asked for has none";
}

class TheHardwareAddress : public testing::Test {
 protected:
  /// A network device; one of hardware has a "device".
  void add(const std::string& name, const std::string& address, bool is_hardware = true) const {
    std::filesystem::create_directories(directory_.path() / name / (is_hardware ? "device" : "bridge"));
    if (!address.empty()) std::ofstream(directory_.path() / name / "address") << address;
  }
  [[nodiscard]] std::optional<std::string> address() const { return mac_address(directory_.path()); }

  test::TemporaryDirectory directory_;
};

TEST_F(TheHardwareAddress, IsThatOfTheFirstDeviceOfHardwareByName) {
  add("wlan0", "02:00:5e:10:00:03\n");
  add("eth1", "02:00:5e:10:00:02\n");
  add("br0", "02:00:5e:10:00:09\n", false);
  EXPECT_EQ(address(), "02:00:5e:10:00:02");
  add("eth0", "02:00:5e:10:00:01\n");
  EXPECT_EQ(address(), "02:00:5e:10:00:01");
}

TEST_F(TheHardwareAddress, IsNoneWhereNoDeviceHasOne) {
  EXPECT_EQ(mac_address(directory_.path() / "nothing"), std::nullopt);
  EXPECT_EQ(address(), std::nullopt);
  add("lo", "00:00:00:00:00:00\n", false);
  add("eth0", "00:00:00:00:00:00\n");
  add("eth1", "");
  add("eth2", "\n");
  add("ib0", "80:00:00:48:fe:80:00:00:00:00:00:00:e4:1d:2d:03:00:7b:4e:01\n");
  EXPECT_EQ(address(), std::nullopt);
  add("eth3", "02:00:5e:10:00:04");
  EXPECT_EQ(address(), "02:00:5e:10:00:04");
}

}  // namespace
}  // namespace devid::identity
