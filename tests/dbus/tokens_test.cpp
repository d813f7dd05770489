// Where keys may be: every pair of a token for the IDevID and a token for the LDevID, with the real devidd.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <regex>
#include <set>

#include "tests/dbus/hsm_device.h"

namespace devid::test {
namespace {

using nlohmann::json;
using testing::ElementsAre;

/// The places, "TOKEN LOCATION", of what `devidctl doctor` says was taken.
std::vector<std::string> taken(const Device& device) {
  const auto outcome = device.ctl({"doctor", "--json"});
  EXPECT_EQ(outcome.status, 0) << outcome.output << outcome.errors;
  const json diagnosis = json::parse(outcome.output);
  std::vector<std::string> places;
  for (const auto& row : diagnosis["evidence"])
    if (row["verdict"] == "taken")
      places.push_back(row["token"].get<std::string>() + ' ' + row["location"].get<std::string>());
  return places;
}

/// Enrolls and renews, and looks at what became of it with tools that are not ours.
void expect_lives(Device& device, const std::function<std::string()>& flaw_of_key, const std::string& protection) {
  const auto enrolled = device.ctl({"enroll", "gateway"});
  ASSERT_EQ(enrolled.status, 0) << enrolled.output << enrolled.errors << device.bus().log();
  EXPECT_EQ(flaw_of_current(device.current(), device.operator_root()), "");
  EXPECT_EQ(flaw_of_key(), "");
  EXPECT_EQ(device.status()["key_protection"], protection);
  ASSERT_TRUE(device.bus().kill_owner(SIGTERM));  // the next devidd knows what is on disk
  const auto renewed = device.ctl({"renew", "gateway"});
  ASSERT_EQ(renewed.status, 0) << renewed.output << renewed.errors << device.bus().log();
  EXPECT_EQ(device.status()["generation"], 2);
  EXPECT_EQ(flaw_of_current(device.current(), device.operator_root()), "");
  EXPECT_EQ(flaw_of_key(), "");
  EXPECT_EQ(device.server().connections(), 4U) << "each of the two proves what it brought over one more";
}

TEST(ADevice, WithItsIdevidInAnHsmKeepsItsLdevidThereToo) {
  HsmDevice site(HsmDevice::Idevid::in_hsm);
  Device& device = site.device();
  device.write_profile("gateway", {}, "token = \"hsm\"\n");
  expect_lives(device, [&] { return site.flaw_of_key(device.current()); }, "pkcs11");
  EXPECT_THAT(taken(device), ElementsAre("hsm pkcs11:id=%01"));
}

TEST(ADevice, WithItsIdevidInTheTpmMayKeepItsLdevidInAnHsm) {
  HsmDevice site(HsmDevice::Idevid::in_tpm);
  Device& device = site.device();
  device.write_profile("gateway", {}, "token = \"hsm\"\n");
  expect_lives(device, [&] { return site.flaw_of_key(device.current()); }, "pkcs11");
  EXPECT_THAT(taken(device), ElementsAre("tpm nv:0x01c90200", "tpm handle:0x81020000"));
}

TEST(ADevice, KeepsDifferentIdentitiesInDifferentTokensAtOnce) {
  HsmDevice site(HsmDevice::Idevid::in_hsm);
  Device& device = site.device();
  const std::string by_uri = site.hsm().token().uri() + "?module-path=" + SoftHsm::module().string() +
                             "&pin-source=file:" + site.hsm().token().pin_file.string();
  device.write_profile("gateway", {}, "token = \"hsm\"\n");
  device.write_profile("uplink", {}, "token = \"tpm\"\n");
  device.write_profile("meter", {}, "token = \"" + by_uri + "\"\n");
  const auto outcome = device.ctl({"run-due"});
  ASSERT_EQ(outcome.status, 0) << outcome.output << outcome.errors << device.bus().log();
  EXPECT_EQ(site.flaw_of_key(device.current("gateway")), "");
  EXPECT_EQ(site.flaw_of_key(device.current("meter")), "");
  EXPECT_EQ(flaw_of_key(device.current("uplink"), device.swtpm().tcti()), "");
}

/// How often each PKCS#11 function was called by the last process in the log of pkcs11-spy.
std::map<std::string, std::size_t> calls_in(const std::filesystem::path& log) {
  std::ifstream stream(log);
  std::map<std::string, std::size_t> calls;
  static const std::regex form("^([0-9]+): (C_\\w+)");
  for (std::string line; std::getline(stream, line);) {
    std::smatch found;
    if (!std::regex_search(line, found, form)) continue;
    if (found[1] == "0") calls.clear();
    ++calls[found[2]];
  }
  return calls;
}

TEST(AnEnrollmentInAnHsm, TakesOneLoginAndTwelveOtherCallsAtMost) {
  const TemporaryDirectory directory;
  const auto log = directory.path() / "spy.log";
  ::setenv("PKCS11SPY", SoftHsm::module().c_str(), 1);
  ::setenv("PKCS11SPY_OUTPUT", log.c_str(), 1);
  HsmDevice site(HsmDevice::Idevid::in_hsm, SoftHsm::spy());
  // The proof of what is new takes one signature more.
  site.device().write_profile("gateway",
                              "[idevid]\nkey = \"pkcs11:id=%01\"\ncertificate = \"pkcs11:id=%01\"\n"
                              "[renewal]\nprove = false\n",
                              "token = \"hsm\"\n");
  for (const char* verb : {"enroll", "renew"}) {
    const auto outcome = site.device().ctl({verb, "gateway"});
    ASSERT_EQ(outcome.status, 0) << outcome.errors << site.device().bus().log();
    ASSERT_TRUE(site.device().bus().kill_owner(SIGTERM));
    auto calls = calls_in(log);
    EXPECT_EQ(calls["C_Login"], 1U) << verb;
    EXPECT_EQ(calls["C_GenerateKeyPair"], 1U) << verb;
    std::size_t counted = 0;
    std::cout << verb << ":";
    for (const auto& [name, times] : calls) {
      static const std::set<std::string> free{"C_Initialize",       "C_Finalize",         "C_GetFunctionList",
                                              "C_GetInterface",     "C_GetInfo",          "C_GetSlotList",
                                              "C_GetSlotInfo",      "C_GetTokenInfo",     "C_Login",
                                              "C_GetInterfaceList", "C_GetAttributeValue"};
      std::cout << ' ' << name << ' ' << times;
      if (!free.contains(name)) counted += times;
    }
    std::cout << "; counted: " << counted << '\n';
    EXPECT_LE(counted, 12U) << verb;
  }
}

class ADeviceWhoseIdevidIsDerived : public testing::TestWithParam<std::string> {};

TEST_P(ADeviceWhoseIdevidIsDerived, FindsItsKeyByItsTemplate) {
  Device device({.factory = {.unique = GetParam(), .persistent = false}});
  expect_lives(device, [&] { return flaw_of_key(device.current(), device.swtpm().tcti()); }, "tpm2");
  EXPECT_LE(device.tap().seen().most_transient, 2U);
  EXPECT_LE(device.tap().seen().most_before_create_or_load, 1U);
  EXPECT_THAT(taken(device), ElementsAre("tpm nv:0x01c90200", "tpm template:H-2/" + GetParam()));
}

INSTANTIATE_TEST_SUITE_P(InEachEncoding, ADeviceWhoseIdevidIsDerived, testing::Values("both", "x", "split"),
                         [](const auto& of) { return of.param; });

TEST(ADeviceWithoutAnIdevid, IsToldByTheDoctorWhatToDo) {
  Device device({.has_idevid = false});
  const auto outcome = device.ctl({"doctor"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.output.find("no IDevID was found"), std::string::npos) << outcome.output << outcome.errors;
  EXPECT_NE(outcome.output.find("hint: "), std::string::npos) << outcome.output;
  const auto enrolled = device.ctl({"enroll", "gateway"});
  EXPECT_EQ(enrolled.status, 1);
  EXPECT_NE(enrolled.errors.find("devidctl doctor"), std::string::npos) << enrolled.errors;
}

TEST(ADevice, TellsWhatItsTokensAreAndCanDo) {
  HsmDevice site(HsmDevice::Idevid::in_hsm);
  const auto outcome = site.device().ctl({"tokens", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.output << outcome.errors;
  const auto tokens = json::parse(outcome.output)["tokens"];
  ASSERT_EQ(tokens.size(), 2U);
  for (const auto& token : tokens) {
    EXPECT_FALSE(token["manufacturer"].get<std::string>().empty()) << token;
    const auto algorithms = token["algorithms"].get<std::vector<std::string>>();
    EXPECT_NE(std::ranges::find(algorithms, "ec-p256"), algorithms.end()) << token;
  }
  EXPECT_EQ(tokens[0]["name"], "hsm");
  EXPECT_EQ(tokens[1]["name"], "tpm");
  EXPECT_GT(tokens[1]["free_key_slots"].get<int>(), 0);
  EXPECT_EQ(site.device().ctl({"tokens"}).status, 0);
  site.device().swtpm().stop();
  const auto without = site.device().ctl({"tokens", "--json"});
  EXPECT_EQ(without.status, 1) << "a token that cannot be asked is not healthy";
  EXPECT_EQ(json::parse(without.output)["tokens"][1]["error"]["code"], "TokenUnreachable");
}

TEST(ADevice, ReportsThatItsIdevidIsAnotherThanBefore) {
  HsmDevice site(HsmDevice::Idevid::in_hsm);
  Device& device = site.device();
  ASSERT_EQ(device.ctl({"enroll", "gateway"}).status, 0) << device.bus().log();
  site.hsm().delete_object(site.hsm().token(), "cert", "01");
  site.hsm().delete_object(site.hsm().token(), "privkey", "01");
  site.hsm().delete_object(site.hsm().token(), "pubkey", "01");
  site.hsm().manufacture(site.hsm().token(), device.pki(), "hsm manufacturer", {.id = "02"});
  const auto again = device.ctl({"enroll", "gateway", "--force"});
  ASSERT_EQ(again.status, 0) << again.errors << device.bus().log();
  EXPECT_NE(device.bus().log().find("the IDevID is no longer what it was, key pkcs11:id=%01"), std::string::npos)
      << device.bus().log();
  EXPECT_NE(device.bus().log().find("from now on it is the key pkcs11:id=%02"), std::string::npos)
      << device.bus().log();
}

}  // namespace
}  // namespace devid::test
