// Key files of devid in the hands of tools that are not devid's.

#include "base/file.h"
#include "base/openssl.h"
#include "tests/tokens/tpm/device_tpm.h"

namespace devid::test {
namespace {

struct Case {
  const char* name;
  KeyAlgorithm algorithm;
  const char* digest;

  friend std::ostream& operator<<(std::ostream& out, const Case& one) { return out << one.name; }
};

class AKeyFile : public DeviceTpm, public testing::WithParamInterface<Case> {
 protected:
  void SetUp() override {
    auto key = created(*token_, GetParam().algorithm);
    ASSERT_TRUE(key);
    ASSERT_TRUE(write_file_atomically(path("key.pem"), key->pem(), 0600));
    ASSERT_TRUE(write_file_atomically(path("message"), "signed by a tool that is not ours", 0644));
    ASSERT_TRUE(write_file_atomically(path("public.der"), as_text(key->public_key().spki), 0644));
    key.reset();
    token_.reset();  // as after devid's exit: nothing of it is in the TPM
    ASSERT_EQ(transient() + sessions(), 0U);
  }

  [[nodiscard]] std::string path(const std::string& name) const { return (directory_.path() / name).string(); }

  void expect_openssl_verifies() const {
    const std::string said = tpm2("openssl dgst -" + std::string(GetParam().digest) + " -verify " + path("public.der") +
                                  " -keyform DER -signature " + path("signature") + " " + path("message"));
    EXPECT_EQ(said, "Verified OK\n");
  }
};

TEST_P(AKeyFile, SignsThroughTpm2Openssl) {
  // pkeyutl hashes in the default provider, and asks the tpm2 provider for one signature.
  tpm2("openssl pkeyutl -provider tpm2 -provider default -propquery '?provider=tpm2' -sign -rawin -digest " +
       std::string(GetParam().digest) + " -inkey " + path("key.pem") + " -in " + path("message") + " -out " +
       path("signature"));
  expect_openssl_verifies();
}

TEST_P(AKeyFile, LoadsAndSignsWithTpm2Tools) {
  tpm2("tpm2_load -Q -r " + path("key.pem") + " -c " + path("key.ctx") +
       " && tpm2_flushcontext -t && tpm2_sign -Q -c " + path("key.ctx") + " -g " + GetParam().digest + " -f plain -o " +
       path("signature") + " " + path("message"));
  expect_openssl_verifies();
}

INSTANTIATE_TEST_SUITE_P(Algorithm, AKeyFile,
                         testing::Values(Case{"EcP256", KeyAlgorithm::ec_p256, "sha256"},
                                         Case{"EcP384", KeyAlgorithm::ec_p384, "sha384"},
                                         Case{"Rsa2048", KeyAlgorithm::rsa_2048, "sha256"}),
                         [](const auto& param) { return std::string(param.param.name); });

}  // namespace
}  // namespace devid::test
