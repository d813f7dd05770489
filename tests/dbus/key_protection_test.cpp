// What a key asks for before it signs, and where it belongs, from the profile to the renewal, with the real devidd.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "tests/dbus/hsm_device.h"
#include "tests/support/tabrmd.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;

std::string content_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// The last POST to the EST server: "simpleenroll" or "simplereenroll".
std::string last_operation(Device& device) {
  std::string operation;
  for (const auto& request : device.server().requests())
    if (request.method == "POST") operation = request.target.substr(request.target.rfind('/') + 1);
  return operation;
}

/// Enrolls, and renews with the key that was made, by another devidd.
void expect_enrolls_and_renews(Device& device) {
  const auto enrolled = device.ctl({"enroll", "gateway"});
  ASSERT_EQ(enrolled.status, 0) << enrolled.output << enrolled.errors << device.bus().log();
  EXPECT_EQ(last_operation(device), "simpleenroll");
  ASSERT_TRUE(device.bus().kill_owner(SIGTERM));
  const auto renewed = device.ctl({"renew", "gateway"});
  ASSERT_EQ(renewed.status, 0) << renewed.output << renewed.errors << device.bus().log();
  EXPECT_EQ(last_operation(device), "simplereenroll");
  EXPECT_EQ(device.status()["generation"], 2);
  EXPECT_EQ(device.status()["state"], "valid");
}

TEST(ADeviceWithAnAuthValue, KeepsItInAFileAndHasNoKeyThatSignsWithoutIt) {
  const TemporaryDirectory secrets;
  const fs::path file = secrets.path() / "key-auth";
  Device device({.configuration = "key_auth = \"" + file.string() + "\"\n"});
  device.write_profile("gateway", "[key]\nauthorization = \"value\"\n");
  expect_enrolls_and_renews(device);
  EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_NE(flaw_of_key(device.current(), device.swtpm().tcti()), "") << "tpm2-tools have no auth value";
  EXPECT_TRUE(holds(content_of(device.current() / "meta.json"), "value")) << content_of(device.current() / "meta.json");
  for (const auto& text : {device.bus().log(), device.status().dump()}) EXPECT_FALSE(holds(text, content_of(file)));
}

TEST(ADeviceWithAnAuthValue, WhoseFileIsGoneKeepsItsCredentialAndSaysWhichFile) {
  const TemporaryDirectory secrets;
  const fs::path file = secrets.path() / "key-auth";
  Device device({.configuration = "key_auth = \"" + file.string() + "\"\n"});
  device.write_profile("gateway", "[key]\nauthorization = \"value\"\n");
  ASSERT_EQ(device.ctl({"enroll", "gateway"}).status, 0) << device.bus().log();
  fs::rename(file, secrets.path() / "elsewhere");
  const auto renewed = device.ctl({"renew", "gateway"});
  EXPECT_EQ(renewed.status, 1);
  EXPECT_TRUE(holds(renewed.errors, file.string())) << renewed.errors;
  EXPECT_EQ(device.status()["last_error"]["code"], "ConfigMissing");
  EXPECT_EQ(device.status()["generation"], 1);
  EXPECT_FALSE(fs::exists(file)) << "a new value would be of no use to the key that is there";
  fs::rename(secrets.path() / "elsewhere", file);
  EXPECT_EQ(device.ctl({"renew", "gateway"}).status, 0) << device.bus().log();
}

TEST(ADeviceWithAPcrPolicy, RenewsWhileItHoldsAndEnrollsAnewWhenItDoesNot) {
  Device device;
  device.write_profile("gateway", "[key]\nauthorization = \"pcr\"\npcr = \"sha256:16\"\n");
  expect_enrolls_and_renews(device);
  run_tpm2(device.swtpm().tcti(), "tpm2_pcrextend 16:sha256=" + std::string(64, '1'));
  const auto renewed = device.ctl({"renew", "gateway"});
  EXPECT_EQ(renewed.status, 0) << renewed.errors;
  EXPECT_TRUE(holds(device.bus().log(), "other values than when the key was made"));
  EXPECT_EQ(last_operation(device), "simpleenroll") << "with the IDevID, in the same job";
  EXPECT_EQ(device.status()["generation"], 3);
  EXPECT_EQ(device.ctl({"renew", "gateway"}).status, 0) << "the new key is bound to what the PCRs hold now";
  EXPECT_EQ(last_operation(device), "simplereenroll");
}

TEST(ADeviceWhoseOwnerForbidsPersistence, EnrollsAndRenewsAndLeavesNothingInTheTpm) {
  Device device({.configuration = "srk = \"transient\"\n"});
  const std::size_t persistent = count_handles(device.swtpm().tcti(), "persistent");
  expect_enrolls_and_renews(device);
  EXPECT_EQ(flaw_of_current(device.current(), device.operator_root()), "");
  EXPECT_LE(device.tap().seen().most_transient, 2U);
  EXPECT_LE(device.tap().seen().most_before_create_or_load, 1U);
  ASSERT_TRUE(device.bus().kill_owner(SIGTERM));
  EXPECT_EQ(count_handles(device.swtpm().tcti(), "persistent"), persistent);
  EXPECT_EQ(count_handles(device.swtpm().tcti(), "transient"), 0U);
}

TEST(ADeviceWithAnOwnerPassword, MakesItsStorageRootKeyWithIt) {
  const TemporaryDirectory secrets;
  const fs::path file = secrets.path() / "owner";
  std::ofstream(file) << "owner-secret\n";
  fs::permissions(file, fs::perms::owner_read);
  Device device({.configuration = "srk = \"0x81000042\"\nowner_auth = \"" + file.string() + "\"\n"});
  run_tpm2(device.swtpm().tcti(), "tpm2_changeauth -Q -c owner owner-secret");
  expect_enrolls_and_renews(device);
  EXPECT_TRUE(holds(run_tpm2(device.swtpm().tcti(), "tpm2_getcap handles-persistent"), "0x81000042"));
}

TEST(ADeviceWithTpm2Abrmd, ReachesItsTpmThroughIt) {
  // devidd has its environment from the system bus, which is there before tpm2-abrmd and its bus are.
  const TemporaryDirectory meeting;
  const std::string bus = meeting.path() / "bus";
  ::setenv("DBUS_SESSION_BUS_ADDRESS", ("unix:path=" + bus).c_str(), 1);
  Device device({.use_tap = false});
  const Tabrmd tabrmd(device.swtpm());
  fs::create_symlink(tabrmd.environment().substr(tabrmd.environment().find('/')), bus);
  device.write_configuration("devid.toml", "[tpm]\ntcti = \"" + tabrmd.tcti() + "\"\n");
  expect_enrolls_and_renews(device);
  EXPECT_EQ(flaw_of_current(device.current(), device.operator_root()), "");
  EXPECT_TRUE(holds(device.ctl({"tokens"}).output, "tabrmd"));
}

class ADeviceInAnHsm : public testing::TestWithParam<std::string> {};

TEST_P(ADeviceInAnHsm, RenewsWithEachKindOfKey) {
  HsmDevice site(HsmDevice::Idevid::in_hsm);
  site.device().write_profile("gateway", "[key]\nalgorithm = \"" + GetParam() + "\"\n", "token = \"hsm\"\n");
  expect_enrolls_and_renews(site.device());
  EXPECT_EQ(site.device().status()["key_algorithm"], GetParam());
  EXPECT_EQ(flaw_of_current(site.device().current(), site.device().operator_root()), "");
}

INSTANTIATE_TEST_SUITE_P(OfKeys, ADeviceInAnHsm, testing::Values("ec-p384", "ec-p521", "rsa-3072", "rsa-4096"),
                         [](const auto& of) {
                           std::string name = of.param;
                           name.erase(name.find('-'), 1);
                           return name;
                         });

class ADeviceInATpm : public testing::TestWithParam<std::string> {};

TEST_P(ADeviceInATpm, RenewsWithEachKindOfKeyThatTheTpmHas) {
  Device device;
  device.write_profile("gateway", "[key]\nalgorithm = \"" + GetParam() + "\"\n");
  expect_enrolls_and_renews(device);
  EXPECT_EQ(device.status()["key_algorithm"], GetParam());
}

INSTANTIATE_TEST_SUITE_P(OfKeys, ADeviceInATpm, testing::Values("ec-p384", "ec-p521", "rsa-2048", "rsa-3072"),
                         [](const auto& of) {
                           std::string name = of.param;
                           name.erase(name.find('-'), 1);
                           return name;
                         });

TEST(ADeviceInATpm, ThatLacksAKindOfKeyNamesThoseThatItHas) {
  Device device;
  device.write_profile("gateway", "[key]\nalgorithm = \"rsa-4096\"\n");
  const auto enrolled = device.ctl({"enroll", "gateway"});
  EXPECT_EQ(enrolled.status, 1);
  EXPECT_TRUE(holds(enrolled.errors, "rsa-2048")) << enrolled.errors;
  EXPECT_EQ(device.status()["last_error"]["code"], "TokenUnsupported");
  EXPECT_EQ(device.status()["state"], "blocked");
}

}  // namespace
}  // namespace devid::test
