// Two users of one TPM through the resource manager tpm2-abrmd.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <future>

#include "tests/support/command.h"
#include "tests/support/swtpm.h"
#include "tests/support/tabrmd.h"
#include "tests/support/tpm_factory.h"

namespace devid::test {
namespace {

class TwoProcessesBehindTabrmd : public testing::Test {
 protected:
  Outcome client(int rounds) const {
    return run({.argv = {DEVID_TEST_TPM_CLIENT, tabrmd_.tcti(), std::to_string(rounds)},
                .environment = {tabrmd_.environment(), "TSS2_LOG=all+NONE"}});
  }
  /// What is in the TPM itself, behind the resource manager.
  std::size_t count(const std::string& kind) const { return count_handles(swtpm_.tcti(), kind); }

  Swtpm swtpm_;
  Tabrmd tabrmd_{swtpm_};
};

TEST_F(TwoProcessesBehindTabrmd, CreateAndSignAtOnceAndLeaveNothing) {
  ASSERT_TRUE(client(1).ok());  // makes the storage root key
  constexpr int rounds = 25;
  std::array<std::future<Outcome>, 2> clients;
  for (auto& one : clients) one = std::async(std::launch::async, [this] { return client(rounds); });
  for (auto& one : clients) {
    const Outcome outcome = one.get();
    EXPECT_TRUE(outcome.ok()) << outcome.status << " " << outcome.errors;
  }
  EXPECT_EQ(count("transient"), 0U);
  EXPECT_EQ(count("loaded-session"), 0U);
  EXPECT_EQ(count("saved-session"), 0U);
  EXPECT_EQ(count("persistent"), 1U);
}

TEST_F(TwoProcessesBehindTabrmd, MakeOneStorageRootKeyWhenTheyBothMissIt) {
  std::array<std::future<Outcome>, 2> clients;
  for (auto& one : clients) one = std::async(std::launch::async, [this] { return client(1); });
  for (auto& one : clients) {
    const Outcome outcome = one.get();
    EXPECT_TRUE(outcome.ok()) << outcome.status << " " << outcome.errors;
  }
  EXPECT_EQ(count("persistent"), 1U);
  EXPECT_EQ(count("transient"), 0U);
}

}  // namespace
}  // namespace devid::test
