#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <iterator>

#include "tests/dbus/device.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

std::string content_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

mode_t mode_of(const fs::path& file) {
  struct stat info{};
  EXPECT_EQ(::stat(file.c_str(), &info), 0) << file;
  return info.st_mode & 07777U;
}

class ADeviceForOtherSoftware : public ::testing::Test {
 protected:
  [[nodiscard]] std::string copies() const {
    return "[copies]\ncertificate_chain = \"" + (place_.path() / "tls/server.pem").string() + "\"\n";
  }

  TemporaryDirectory place_;
  Device device_;
};

TEST_F(ADeviceForOtherSoftware, HasItsFilesForWhomTheProfileSays) {
  device_.write_profile("gateway", "[files]\nmode = \"0444\"\nkey_mode = \"0640\"\n");
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0) << device_.bus().log();
  EXPECT_EQ(mode_of(device_.current() / "certificate.pem"), 0444U);
  EXPECT_EQ(mode_of(device_.current() / "token-key.pem"), 0640U);
  EXPECT_EQ(flaw_of_current(device_.current(), device_.operator_root()), "");
}

TEST_F(ADeviceForOtherSoftware, EnrollsAlsoWhereAFileCannotBeGivenAway) {
  device_.write_profile("gateway", "[files]\ngroup = \"no-such-group\"\n");
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0) << device_.bus().log();
  EXPECT_EQ(device_.status()["state"], "valid");
  EXPECT_THAT(device_.bus().log(), HasSubstr("there is no group 'no-such-group'"));
}

TEST_F(ADeviceForOtherSoftware, HasCopiesThatFollowEachRotationAndComeBackWhenTheyAreGone) {
  fs::create_directory(place_.path() / "tls");
  device_.write_profile("gateway", copies());
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0) << device_.bus().log();
  const std::string first = content_of(place_.path() / "tls/server.pem");
  EXPECT_EQ(first, content_of(device_.current() / "certificate-chain.pem"));
  ASSERT_EQ(device_.ctl({"renew", "gateway"}).status, 0) << device_.bus().log();
  EXPECT_EQ(content_of(place_.path() / "tls/server.pem"), content_of(device_.current() / "certificate-chain.pem"));
  EXPECT_NE(content_of(place_.path() / "tls/server.pem"), first);
  fs::remove(place_.path() / "tls/server.pem");
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0);
  ASSERT_EQ(device_.ctl({"reload"}).status, 0);  // it is answered after that
  EXPECT_EQ(content_of(place_.path() / "tls/server.pem"), content_of(device_.current() / "certificate-chain.pem"));
}

TEST_F(ADeviceForOtherSoftware, EnrollsAlsoWhereNoCopyCanBeMadeAndTriesAgain) {
  device_.write_profile("gateway", copies());
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0) << device_.bus().log();
  EXPECT_EQ(device_.status()["state"], "valid");
  EXPECT_THAT(device_.bus().log(), HasSubstr("not every copy of it"));
  fs::create_directory(place_.path() / "tls");
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0);
  ASSERT_EQ(device_.ctl({"reload"}).status, 0);
  EXPECT_EQ(content_of(place_.path() / "tls/server.pem"), content_of(device_.current() / "certificate-chain.pem"));
  EXPECT_THAT(content_of(place_.path() / "tls/server.pem"), Not(HasSubstr("PRIVATE KEY")));
}

}  // namespace
}  // namespace devid::test
