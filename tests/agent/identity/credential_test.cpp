#include "agent/identity/credential.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "agent/identity/idevid.h"
#include "tests/support/fake_token.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_pki.h"

namespace devid::identity {
namespace {

using testing::HasSubstr;

class TheIdevid : public testing::Test {
 protected:
  TheIdevid() {
    ca_ = pki_.make_ca("manufacturer");
    const PublicKey key = hardware_.put_key("fake:key", KeyAlgorithm::ec_p256);
    certificate_pem_ = pki_.issue({.issuer = "manufacturer",
                                   .subject = "/serialNumber=SN-17",
                                   .public_key = test::public_key_pem(std::string(as_text(key.spki)))})
                           .certificate_pem;
  }

  Result<Credential> open_stored(std::string_view content) {
    hardware_.put_certificate("fake:certificate", to_bytes(as_bytes(content)));
    return open("fake:key", InToken{"fake:certificate"});
  }

  Result<Credential> open_file(std::string_view content) {
    const auto file = directory_.path() / "idevid.pem";
    std::ofstream(file) << content;
    return open("fake:key", InFile{file});
  }

  Result<Credential> open(const std::string& key, CertificateLocation certificate) {
    Tokens tokens;
    tokens.emplace("fake", std::make_unique<test::FakeToken>(hardware_));
    auto opened = open_idevid_at({.tokens = tokens, .wanted = {}, .files = {}, .now = now_},
                                 {.token = "fake", .key = key, .certificate = std::move(certificate)});
    return opened;
  }

  test::TestPki pki_;
  test::TestCredential ca_;
  test::FakeHardware hardware_;
  test::FakeToken token_{hardware_};
  Time now_ = SystemClock().now();
  test::TemporaryDirectory directory_;
  std::string certificate_pem_;
};

TEST_F(TheIdevid, IsReadFromTheTokenInAnyOfItsForms) {
  const std::string der = test::pem_to_der(certificate_pem_);
  for (const auto& content : {der, der + std::string(200, '\0'), der + std::string(200, '\xff'), certificate_pem_,
                              certificate_pem_ + std::string(200, '\0'), certificate_pem_ + std::string(200, '\xff')}) {
    const auto credential = open_stored(content);
    ASSERT_TRUE(credential) << credential.error().sentence();
    EXPECT_EQ(credential->certificate.subject(), "serialNumber=SN-17");
    EXPECT_EQ(credential->key->public_key(), *credential->certificate.public_key());
    EXPECT_TRUE(credential->chain.empty());
  }
}

TEST_F(TheIdevid, MayComeFromAFileWithItsChain) {
  const auto credential = open_file(certificate_pem_ + ca_.certificate_pem);
  ASSERT_TRUE(credential) << credential.error().sentence();
  EXPECT_EQ(credential->certificate.subject(), "serialNumber=SN-17");
  ASSERT_EQ(credential->chain.size(), 1U);
  EXPECT_EQ(credential->chain[0].subject(), "CN=manufacturer");
  EXPECT_TRUE(open_file(test::pem_to_der(certificate_pem_)));
}

TEST_F(TheIdevid, IsMissingWhereThereIsNoCertificate) {
  const std::string der = test::pem_to_der(certificate_pem_);
  for (const auto& content :
       {std::string(), std::string(100, '\0'), std::string(100, '\xff'), std::string("garbage"), std::string("\x30"),
        std::string("\x30\x84\xff\xff\xff\xff"), der.substr(0, 100), std::string("\x30\x82\xff\xff") + der}) {
    const auto credential = open_stored(content);
    ASSERT_FALSE(credential);
    EXPECT_EQ(credential.error().code, Errc::idevid_missing) << credential.error().sentence();
    EXPECT_EQ(credential.error().retry, Retry::after_operator);
    EXPECT_THAT(credential.error().hint, HasSubstr("[idevid]"));
  }
}

TEST_F(TheIdevid, IsMissingWhereThereIsNoKeyOrFile) {
  auto credential = open("fake:nothing", InToken{"fake:certificate"});
  ASSERT_FALSE(credential);
  EXPECT_EQ(credential.error().code, Errc::idevid_missing);
  credential = open("fake:key", InFile{directory_.path() / "none.pem"});
  ASSERT_FALSE(credential);
  EXPECT_EQ(credential.error().code, Errc::idevid_missing);
  EXPECT_THAT(credential.error().sentence(), HasSubstr("none.pem (No such file"));
}

TEST_F(TheIdevid, DoesNotMatchTheCertificateOfAnotherKey) {
  const auto credential = open_stored(pki_.issue({.issuer = "manufacturer", .subject = "/CN=other"}).certificate_pem);
  ASSERT_FALSE(credential);
  EXPECT_EQ(credential.error().code, Errc::idevid_mismatch);
  EXPECT_EQ(credential.error().retry, Retry::after_operator);
  EXPECT_THAT(credential.error().reason, HasSubstr("CN=other"));
}

class TheProofOfPossession : public TheIdevid {};

TEST_F(TheProofOfPossession, HoldsForEveryKindOfKey) {
  for (const auto algorithm : {KeyAlgorithm::ec_p256, KeyAlgorithm::ec_p384, KeyAlgorithm::rsa_2048}) {
    const auto key = token_.create_key({.algorithm = algorithm});
    ASSERT_TRUE(key);
    const auto issued =
        pki_.issue({.issuer = "manufacturer",
                    .public_key = test::public_key_pem(std::string(as_text((*key)->public_key().spki)))});
    const auto certificate = pki::read_certificates(as_bytes(issued.certificate_pem));
    EXPECT_TRUE(prove_possession(token_, (*key)->pem(), certificate->front()));
  }
}

TEST_F(TheProofOfPossession, FailsForAnotherKey) {
  const auto key = token_.create_key({});
  const auto certificate = pki::read_certificates(as_bytes(certificate_pem_));
  const auto proven = prove_possession(token_, (*key)->pem(), certificate->front());
  ASSERT_FALSE(proven);
  EXPECT_EQ(proven.error().code, Errc::token_wrong_key);
}

TEST_F(TheProofOfPossession, FailsForAKeyThatIsGone) {
  const auto key = token_.create_key({});
  const std::string pem = (*key)->pem();
  ASSERT_TRUE(token_.destroy_key(pem));
  const auto certificate = pki::read_certificates(as_bytes(certificate_pem_));
  EXPECT_FALSE(prove_possession(token_, pem, certificate->front()));
  EXPECT_FALSE(prove_possession(token_, "garbage", certificate->front()));
}

}  // namespace
}  // namespace devid::identity
