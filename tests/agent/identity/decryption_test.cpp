#include "agent/identity/decryption.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/certificate_of.h"
#include "tests/support/command.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_pki.h"

namespace devid::identity {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

/// Where the profile says that the decryption key is.
class TheDecryptionKeyOfAProfile : public testing::Test {
 protected:
  /// A file that only its owner can read.
  [[nodiscard]] fs::path write(const std::string& content, fs::perms mode = fs::perms::owner_read) const {
    const fs::path file = directory_.path() / ("secret" + std::to_string(++count_));
    std::ofstream(file) << content;
    fs::permissions(file, mode);
    return file;
  }
  [[nodiscard]] KeyFromServer shared(const std::string& digits) const {
    return {.decryption = SharedSecret{.identifier = "gw", .key = SecretFile{write(digits)}}};
  }
  static KeyFromServer pair(const fs::path& key, const fs::path& certificate = {}) {
    return {.decryption = DecryptionKeyPair{.identifier = "gw", .key = SecretFile{key}, .certificate = certificate}};
  }
  static void expect_error(const KeyFromServer& settings, Errc code, const std::string& reason) {
    const auto key = read_decryption_key(settings);
    ASSERT_FALSE(key) << reason;
    EXPECT_EQ(key.error().code, code) << key.error().sentence();
    EXPECT_EQ(key.error().retry, Retry::after_operator);
    EXPECT_THAT(key.error().sentence(), HasSubstr(reason));
  }

 private:
  test::TemporaryDirectory directory_;
  mutable unsigned count_ = 0;
};

TEST_F(TheDecryptionKeyOfAProfile, IsNoneWhereItNamesNone) {
  const auto key = read_decryption_key({});
  ASSERT_TRUE(key);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(*key));
}

TEST_F(TheDecryptionKeyOfAProfile, IsASharedSecretOf128To256Bits) {
  const std::string digits = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1f";
  for (const std::size_t size : {16U, 24U, 32U}) {
    for (const std::string end : {"", "\n"}) {
      const auto key = read_decryption_key(shared(digits.substr(0, 2 * size) + end));
      ASSERT_TRUE(key) << key.error().sentence();
      const auto& symmetric = std::get<pki::SymmetricDecryptionKey>(*key);
      EXPECT_EQ(as_text(symmetric.identifier), "gw");
      ASSERT_EQ(symmetric.key.size(), size);
      for (std::size_t i = 0; i < size; ++i) EXPECT_EQ(std::to_integer<std::size_t>(symmetric.key.reveal()[i]), i);
    }
  }
}

TEST_F(TheDecryptionKeyOfAProfile, IsRefusedWhereTheSecretIsNoAesKeyAndNeverShown) {
  const std::string good(32, '5');
  for (const auto& bad :
       {good.substr(1), good + "5", good + "55", good + good + "55", "g" + good.substr(1), good.substr(1) + "g",
        good + "\n\n", " " + good, "0x" + good.substr(2), std::string("hunter2"), std::string(31, '5') + "\x80"}) {
    const KeyFromServer settings = shared(bad);
    expect_error(settings, Errc::config_invalid, "is no AES key");
    const auto key = read_decryption_key(settings);
    EXPECT_THAT(key.error().sentence() + key.error().hint, Not(HasSubstr(bad)));
    EXPECT_THAT(key.error().what, HasSubstr(source_text(std::get<SharedSecret>(settings.decryption).key)));
  }
}

TEST_F(TheDecryptionKeyOfAProfile, IsReadAnewEachTime) {
  const KeyFromServer settings = shared(std::string(32, '5'));
  ASSERT_TRUE(read_decryption_key(settings));
  fs::remove(std::get<SecretFile>(std::get<SharedSecret>(settings.decryption).key).path);
  expect_error(settings, Errc::config_missing, "decrypt the key that the server makes");
}

TEST_F(TheDecryptionKeyOfAProfile, MayBeAKeyPairWithItsCertificateOrWithout) {
  test::TestPki pki;
  const auto credential = pki.issue({});
  const std::string pem = test::output_of({.argv = {"cat", credential.key}});
  const fs::path file = write(pem);
  const auto bare = read_decryption_key(pair(file));
  ASSERT_TRUE(bare) << bare.error().sentence();
  const auto& key = std::get<pki::AsymmetricDecryptionKey>(*bare);
  EXPECT_EQ(as_text(key.identifier), "gw");
  EXPECT_EQ(std::string(as_text(key.pkcs8.reveal())) + "\n", pem);
  EXPECT_EQ(key.certificate, std::nullopt);
  const auto with = read_decryption_key(pair(file, credential.certificate));
  ASSERT_TRUE(with) << with.error().sentence();
  EXPECT_EQ(std::get<pki::AsymmetricDecryptionKey>(*with).certificate,
            test::certificate_of(credential.certificate_pem));
}

TEST_F(TheDecryptionKeyOfAProfile, IsRefusedWhereItsFilesAreNotThereOrAreSomethingElse) {
  test::TestPki pki;
  const auto credential = pki.issue({});
  const fs::path key = write(test::output_of({.argv = {"cat", credential.key}}));
  expect_error(pair("/nowhere/key"), Errc::config_missing, "/nowhere/key");
  expect_error(pair(key, "/nowhere/certificate"), Errc::config_missing, "/nowhere/certificate");
  expect_error(pair(write(std::string(20000, 'x'))), Errc::config_invalid, "");
  expect_error(pair(write("key", fs::perms::owner_read | fs::perms::others_read)), Errc::config_invalid, "");
  for (const std::string& bad : {std::string(), std::string("garbage"), credential.certificate_pem.substr(0, 200),
                                 credential.certificate_pem + credential.certificate_pem}) {
    const fs::path file = write(bad);
    expect_error(pair(key, file), Errc::config_invalid, file);
  }
  expect_error(pair(key, write(std::string(70000, 'x'))), Errc::config_missing, "larger than 65536 bytes");
}

}  // namespace
}  // namespace devid::identity
