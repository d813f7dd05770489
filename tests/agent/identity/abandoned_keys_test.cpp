#include "agent/identity/abandoned_keys.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/support/fake_token.h"
#include "tests/support/temporary_directory.h"

namespace devid::test {
namespace {

using identity::AbandonedKeys;

class AnAbandonedKey : public testing::Test {
 protected:
  AnAbandonedKey() {
    tokens_.emplace("tpm", std::make_unique<FakeToken>(tpm_, "tpm"));
    tokens_.emplace("hsm", std::make_unique<FakeToken>(hsm_, "hsm"));
  }
  [[nodiscard]] std::filesystem::path file() const { return directory_.path() / "abandoned-keys.json"; }
  [[nodiscard]] AbandonedKeys read() const { return AbandonedKeys(file()); }
  std::string make_key(const std::string& token) {
    const auto key = tokens_.at(token)->create_key({});
    EXPECT_TRUE(key);
    return (*key)->pem();
  }
  static Error away() { return {.code = Errc::token_unreachable, .retry = Retry::later, .what = "it is away"}; }

  TemporaryDirectory directory_;
  FakeHardware tpm_;
  FakeHardware hsm_;
  Tokens tokens_;
};

TEST_F(AnAbandonedKey, IsDestroyedByALaterProcess) {
  read().add({.token = "hsm", .token_key_pem = make_key("hsm")});
  struct stat info{};
  ASSERT_EQ(::stat(file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  hsm_.fail_all(away());
  read().destroy(tokens_);
  EXPECT_EQ(read().size(), 1U);
  hsm_.recover();
  read().destroy(tokens_);
  EXPECT_EQ(hsm_.made_keys(), 0U);
  EXPECT_EQ(read().size(), 0U);
  EXPECT_FALSE(std::filesystem::exists(file()));
}

TEST_F(AnAbandonedKey, DoesNotWearOutATokenThatFails) {
  auto keys = read();
  for (int i = 0; i < 3; ++i) keys.add({.token = "hsm", .token_key_pem = make_key("hsm")});
  keys.add({.token = "tpm", .token_key_pem = make_key("tpm")});
  hsm_.fail_all(away());
  keys.destroy(tokens_);
  EXPECT_EQ(hsm_.count(Operation::destroy_key), 1U);
  EXPECT_EQ(tpm_.made_keys(), 0U);
  EXPECT_EQ(keys.size(), 3U);
}

TEST_F(AnAbandonedKey, ThatIsInUseAfterAllIsKept) {
  const std::string used = make_key("hsm");
  read().add({.token = "hsm", .token_key_pem = used});
  read().add({.token = "hsm", .token_key_pem = make_key("hsm")});
  auto keys = read();
  keys.keep(used);
  keys.destroy(tokens_);
  EXPECT_EQ(hsm_.made_keys(), 1U);
  EXPECT_TRUE(tokens_.at("hsm")->open_key(used));
  EXPECT_EQ(read().size(), 0U);
}

TEST_F(AnAbandonedKey, WaitsForATokenThatIsNotConfigured) {
  auto keys = read();
  keys.add({.token = "card", .token_key_pem = make_key("hsm")});
  keys.destroy(tokens_);
  EXPECT_EQ(keys.size(), 1U);
}

TEST_F(AnAbandonedKey, OfAnUnknownTokenIsLookedForInAll) {
  auto keys = read();
  keys.add({.token = "", .token_key_pem = make_key("hsm")});
  keys.destroy(tokens_);
  EXPECT_EQ(keys.size(), 0U);
}

TEST_F(AnAbandonedKey, ThatNoTokenKnowsIsForgotten) {
  auto keys = read();
  keys.add({.token = "tpm", .token_key_pem = "garbage"});
  keys.add({.token = "", .token_key_pem = "garbage"});
  keys.destroy(tokens_);
  EXPECT_EQ(keys.size(), 0U);
}

TEST_F(AnAbandonedKey, IsOneOfAtMost64AndIsKeptOnce) {
  auto keys = read();
  for (int i = 0; i < 70; ++i) keys.add({.token = "hsm", .token_key_pem = "key " + std::to_string(i)});
  keys.add({.token = "hsm", .token_key_pem = "key 69"});
  keys.add({.token = "hsm", .token_key_pem = ""});
  EXPECT_EQ(keys.size(), 64U);
  EXPECT_EQ(read().size(), 64U);
}

TEST_F(AnAbandonedKey, InADamagedFileIsForgotten) {
  for (const std::string damaged :
       {"", "{", "[]", "{\"version\":2,\"keys\":[]}", "{\"version\":1}", "{\"version\":1,\"keys\":{}}",
        "{\"version\":1,\"keys\":[1,{},{\"token\":1,\"key\":\"x\"},{\"token\":\"x\"},{\"token\":\"x\",\"key\":\"\"}]"
        "}"}) {
    std::ofstream(file()) << damaged;
    EXPECT_EQ(read().size(), 0U) << damaged;
  }
  std::ofstream(file()) << R"({"version":1,"keys":[null,{"token":"tpm","key":"x"}]})";
  EXPECT_EQ(read().size(), 1U) << "what is whole is kept";
}

TEST_F(AnAbandonedKey, ThatCannotBeWrittenIsKnownForNow) {
  std::filesystem::create_directories(file() / "in the way");
  auto keys = read();
  keys.add({.token = "hsm", .token_key_pem = make_key("hsm")});
  keys.destroy(tokens_);
  EXPECT_EQ(hsm_.made_keys(), 0U);
}

}  // namespace
}  // namespace devid::test
