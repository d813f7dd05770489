#include "agent/pki/envelope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/certificate_of.h"
#include "tests/support/command.h"
#include "tests/support/test_pki.h"

namespace devid::pki {
namespace {

using testing::HasSubstr;

class AnEnvelope : public testing::Test {
 protected:
  AnEnvelope() {
    pki.make_ca("root");
    recipient = pki.issue({.issuer = "root", .key_usage = ""});
  }

  [[nodiscard]] std::string sealed_for(const std::vector<std::string>& certificates) const {
    std::vector<std::string> argv = {"openssl", "cms", "-encrypt", "-binary", "-outform", "DER", "-aes256"};
    argv.insert(argv.end(), certificates.begin(), certificates.end());
    return test::output_of({.argv = std::move(argv), .input = "secret"});
  }
  [[nodiscard]] Result<Secret> open(const std::string& der) const {
    const DecryptionKey key =
        AsymmetricDecryptionKey{.identifier = {},
                                .certificate = test::certificate_of(recipient.certificate_pem),
                                .pkcs8 = Secret(as_bytes(test::output_of({.argv = {"cat", recipient.key}})))};
    return open_envelope(as_bytes(der), key);
  }

  test::TestPki pki;
  test::TestCredential recipient;
};

TEST_F(AnEnvelope, IsForNoMoreThan16Recipients) {
  std::vector<std::string> recipients(15, pki.ca("root").certificate);
  recipients.push_back(recipient.certificate);
  const auto opened = open(sealed_for(recipients));
  ASSERT_TRUE(opened) << opened.error().sentence();
  EXPECT_EQ(as_text(opened->reveal()), "secret");
  recipients.insert(recipients.begin(), pki.ca("root").certificate);
  const auto refused = open(sealed_for(recipients));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::answer_malformed);
  EXPECT_THAT(refused.error().reason, HasSubstr("it has more than 16 recipients"));
}

}  // namespace
}  // namespace devid::pki
