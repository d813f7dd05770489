// What a key file, or the URI of a token, may say, and what becomes of it if it says something else.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <utility>

#include "tests/tokens/pkcs11/device_hsm.h"
#include "tokens/pkcs11/uri_pem.h"

namespace devid::test {
namespace {

class AnHsmKeyFile : public testing::Test {
 protected:
  AnHsmKeyFile() {
    const auto key = token_->create_key({.label = "devid:gateway:1"});
    EXPECT_TRUE(key) << told(key);
    if (key) pem_ = (*key)->pem();
  }

  /// The file with one part of its URI replaced.
  [[nodiscard]] std::string changed(const std::string& from, const std::string& to) const {
    std::string uri = pkcs11::read_uri_pem(pem_).value_or("");
    const auto at = uri.find(from);
    EXPECT_NE(at, std::string::npos) << uri;
    if (at != std::string::npos) uri.replace(at, from.size(), to);
    return pkcs11::write_uri_pem(uri).value_or("");
  }
  /// The part of its URI that begins so.
  [[nodiscard]] std::string part(const std::string& name) const {
    const std::string uri = pkcs11::read_uri_pem(pem_).value_or("");
    const auto at = uri.find(name);
    return at == std::string::npos ? std::string() : uri.substr(at, uri.find(';', at) - at);
  }

  DeviceHsm device_;
  std::unique_ptr<Token> token_ = device_.make_token();
  std::string pem_;
};

TEST_F(AnHsmKeyFile, IsOfAnotherKeyOrTokenIfOnePartOfItDiffers) {
  const std::array changes{
      std::pair{part("id="), std::string("id=%00%01")},
      std::pair{part("object="), std::string("object=devid:gateway:2")},
      std::pair{part("token="), std::string("token=other")},
      std::pair{part("serial="), std::string("serial=0")},
      std::pair{part("model="), std::string("model=x")},
      std::pair{part("manufacturer="), std::string("manufacturer=x")},
      std::pair{std::string("type=private"), std::string("type=cert")},
      std::pair{std::string("type=private"), std::string("colour=red")},
      std::pair{part("id=") + ";", std::string()},
  };
  for (const auto& [from, to] : changes) {
    const auto key = token_->open_key(changed(from, to));
    EXPECT_EQ(code_of(key), Errc::token_wrong_key) << from << " → " << to << ": " << told(key);
  }
  EXPECT_TRUE(token_->open_key(pem_));
}

TEST_F(AnHsmKeyFile, OfNoKeyAtAllSaysSo) {
  ASSERT_TRUE(token_->destroy_key(pem_));
  const auto key = token_->open_key(pem_);
  EXPECT_EQ(code_of(key), Errc::token_no_such_key) << told(key);
}

TEST_F(AnHsmKeyFile, DoesNotMakeDevidDestroyAKeyOfTheFactory) {
  const std::size_t before = device_.objects();
  const auto destroyed = token_->destroy_key(changed(part("id="), "id=%01"));
  EXPECT_EQ(code_of(destroyed), Errc::token_wrong_key) << told(destroyed);
  EXPECT_EQ(device_.objects(), before);
}

TEST(TheDescriptionOfAnHsm, DoesNotShowAPinThatWasWrittenIntoItsUri) {
  const Pkcs11Token token({.name = "hsm", .uri = "pkcs11:token=dev?pin-value=hunter2"});
  EXPECT_EQ(token.description().location, "pkcs11:");
  EXPECT_EQ(Pkcs11Token({.name = "hsm", .uri = "pkcs11:token=dev"}).description().location, "pkcs11:token=dev");
}

}  // namespace
}  // namespace devid::test
