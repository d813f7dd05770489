#include <gmock/gmock.h>

#include <filesystem>

#include "tests/dbus/bus_client.h"
#include "tests/dbus/device.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

/// A device with two generations, in a TPM.
class ADeviceWithAPast : public testing::Test {
 protected:
  ADeviceWithAPast() {
    EXPECT_EQ(device_.ctl({"enroll", "gateway"}).status, 0) << device_.bus().log();
    EXPECT_EQ(device_.ctl({"renew", "gateway"}).status, 0) << device_.bus().log();
  }
  [[nodiscard]] std::string current() const { return fs::read_symlink(device_.current()); }

  Device device_;
};

TEST_F(ADeviceWithAPast, GoesBackAndIsNotTakenForwardByARestart) {
  BusClient client(device_.bus());
  std::vector<std::pair<std::uint64_t, std::uint64_t>> rotated;
  const auto identity = client.proxy("/org/devid1/identity/gateway");
  identity->uponSignal("Rotated").onInterface("org.devid1.Identity").call([&](std::uint64_t before, std::uint64_t now) {
    rotated.emplace_back(before, now);
  });
  identity->finishRegistration();
  const auto back = device_.ctl({"rollback", "gateway"});
  ASSERT_EQ(back.status, 0) << back.errors << device_.bus().log();
  EXPECT_THAT(back.output, HasSubstr("gateway: generation 1 is current again, valid until"));
  EXPECT_EQ(current(), "generation/1");
  EXPECT_EQ(device_.status()["generation"], 1);
  EXPECT_EQ(device_.status()["state"], "valid");
  EXPECT_EQ(flaw_of_current(device_.current(), device_.operator_root()), "");
  EXPECT_EQ(flaw_of_key(device_.current(), device_.swtpm().tcti()), "");
  EXPECT_THAT(device_.bus().log(), HasSubstr("the operator went back to generation 1"));
  ASSERT_TRUE(device_.bus().kill_owner(SIGTERM));
  EXPECT_EQ(device_.ctl({"run-due"}).output, "nothing is due\n");
  EXPECT_EQ(device_.status()["generation"], 1);

  const auto again = device_.ctl({"rollback", "gateway"});
  EXPECT_EQ(again.status, 1);
  EXPECT_THAT(again.errors, HasSubstr("there is no previous generation"));
  EXPECT_THAT(again.errors, HasSubstr("hint: renewal.keep_old"));
  EXPECT_EQ(device_.ctl({"renew", "gateway"}).status, 0);
  EXPECT_EQ(device_.status()["generation"], 3);
}

TEST_F(ADeviceWithAPast, SaysInJsonWhatIsCurrent) {
  const auto back = device_.ctl({"rollback", "gateway", "--json"});
  ASSERT_EQ(back.status, 0) << back.errors;
  EXPECT_EQ(json::parse(back.output), json::parse(R"({"identity": "gateway", "generation": 1})"));
}

TEST_F(ADeviceWithAPast, IsForgottenOnlyByWhoSaysSo) {
  const auto silent = device_.ctl({"forget", "gateway"});
  EXPECT_EQ(silent.status, 2);
  EXPECT_THAT(silent.errors, HasSubstr("standard input is no terminal"));
  EXPECT_THAT(silent.errors, HasSubstr("--yes"));
  EXPECT_EQ(device_.status()["generation"], 2);

  const auto forgotten = device_.ctl({"forget", "gateway", "--yes"});
  ASSERT_EQ(forgotten.status, 0) << forgotten.errors << device_.bus().log();
  EXPECT_THAT(forgotten.output, HasSubstr("gateway: forgotten, 2 keys destroyed"));
  EXPECT_THAT(forgotten.errors, HasSubstr("its profile is still there, so it enrolls again at the next run"));
  EXPECT_EQ(device_.status()["state"], "unenrolled");
  EXPECT_EQ(device_.status()["generation"], 0);
  EXPECT_FALSE(fs::exists(device_.current()));
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0);
  EXPECT_EQ(device_.status()["generation"], 1);
}

TEST_F(ADeviceWithAPast, IsForgottenByNameWithoutAProfile) {
  fs::remove(device_.configuration() / "identities.d/gateway.toml");
  ASSERT_EQ(device_.ctl({"reload"}).status, 0);
  const auto forgotten = device_.ctl({"forget", "gateway", "--yes", "--json"});
  ASSERT_EQ(forgotten.status, 0) << forgotten.errors << device_.bus().log();
  EXPECT_EQ(json::parse(forgotten.output),
            json::parse(R"({"identity": "gateway", "keys_destroyed": 2, "keys_left": 0, "enrolls_again": false})"));
  EXPECT_FALSE(fs::exists(device_.state() / "gateway"));
  EXPECT_EQ(device_.ctl({"forget", "gateway", "--yes"}).status, 3);
  EXPECT_EQ(device_.ctl({"forget", "../gateway", "--yes"}).status, 3);
}

TEST_F(ADeviceWithAPast, RefusesOptionsThatItDoesNotKnow) {
  BusClient client(device_.bus());
  const std::map<std::string, sdbus::Variant> options{{"force", sdbus::Variant(true)}};
  for (const std::string method : {"Rollback", "Forget"}) {
    EXPECT_EQ(error_of([&] {
                client.proxy("/org/devid1/identity/gateway")
                    ->callMethod(method)
                    .onInterface("org.devid1.Identity")
                    .withArguments(options);
              }),
              "org.devid1.Error.Usage");
  }
  EXPECT_EQ(error_of([&] {
              client.proxy("/org/devid1")
                  ->callMethod("Forget")
                  .onInterface("org.devid1.Manager")
                  .withArguments(std::string("gateway"), options);
            }),
            "org.devid1.Error.Usage");
  EXPECT_EQ(device_.status()["generation"], 2);
}

TEST_F(ADeviceWithAPast, KeepsOrChangesItsKeyAsTheOperatorSays) {
  const auto key = [&] { return public_key_of_certificate(device_.server().issued().back()); };
  const auto before = key();
  ASSERT_EQ(device_.ctl({"renew", "gateway", "--keep-key"}).status, 0) << device_.bus().log();
  EXPECT_EQ(key(), before);
  EXPECT_EQ(flaw_of_current(device_.current(), device_.operator_root()), "");
  ASSERT_EQ(device_.ctl({"renew", "gateway", "--rekey"}).status, 0) << device_.bus().log();
  EXPECT_NE(key(), before);
}

}  // namespace
}  // namespace devid::test
