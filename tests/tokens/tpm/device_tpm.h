#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/support/swtpm.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/tpm_factory.h"
#include "tests/support/tpm_tap.h"
#include "tokens/public_key.h"
#include "tokens/tpm/tpm_token.h"

namespace devid::test {

/// The TPM of a device with an IDevID, with a tap between it and a TpmToken.
class DeviceTpm : public testing::Test {
 protected:
  static constexpr SignatureScheme ecdsa{.digest = Digest::sha256, .padding = Padding::none};

  static std::unique_ptr<TpmToken> token_at(const std::string& tcti) {
    return std::make_unique<TpmToken>(TpmSpec{.tcti = tcti, .name = "tpm"});
  }
  std::unique_ptr<TpmToken> new_token() const { return token_at(tap_.tcti()); }
  static Bytes a_digest() { return Bytes(32, std::byte{0x42}); }

  /// What a shell command prints whose tpm2-tools talk to the TPM past the tap.
  std::string tpm2(const std::string& shell_command) const { return run_tpm2(swtpm_.tcti(), shell_command); }
  std::size_t transient() const { return count_handles(swtpm_.tcti(), "transient"); }
  std::size_t sessions() const { return count_handles(swtpm_.tcti(), "loaded-session"); }

  static Result<Bytes> sign(PrivateKey& key) { return key.sign(a_digest(), ecdsa); }
  static void expect_signs(PrivateKey& key) {
    const auto signature = sign(key);
    ASSERT_TRUE(signature) << signature.error().sentence();
    EXPECT_TRUE(verify(key.public_key(), a_digest(), ecdsa, *signature));
  }
  static std::unique_ptr<PrivateKey> created(Token& token, KeyAlgorithm algorithm = KeyAlgorithm::ec_p256) {
    auto key = token.create_key({.algorithm = algorithm});
    if (key) return std::move(*key);
    ADD_FAILURE() << key.error().sentence();
    return nullptr;
  }
  std::unique_ptr<PrivateKey> idevid(Token& token) const {
    auto key = token.open_key_at(factory_.key_location);
    if (key) return std::move(*key);
    ADD_FAILURE() << key.error().sentence();
    return nullptr;
  }

  TemporaryDirectory directory_;
  Swtpm swtpm_;
  ManufacturedTpm factory_ = manufacture(swtpm_, directory_.path());
  TpmTap tap_{swtpm_};
  std::unique_ptr<TpmToken> token_ = new_token();
};

/// What a person and a program get to know of a failure, in one matcher.
MATCHER_P(fails_with, code, "") {
  if (arg) {
    *result_listener << "it succeeded";
    return false;
  }
  *result_listener << arg.error().sentence();
  return arg.error().code == code && !arg.error().what.empty();
}

}  // namespace devid::test
