#include "agent/pki/csr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/command.h"
#include "tests/support/fake_token.h"
#include "tests/support/test_pki.h"
#include "tokens/public_key.h"

namespace devid::pki {
namespace {

using Kind = AlternativeName::Kind;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const Names gateway = {.subject = {{.type = "O", .value = "Exämple, Inc."}, {.type = "serialNumber", .value = "17"}},
                       .alternatives = {{.kind = Kind::dns, .value = "gw.example"},
                                        {.kind = Kind::ip, .value = "2001:db8::1"},
                                        {.kind = Kind::uri, .value = "urn:dev:17"},
                                        {.kind = Kind::email, .value = "a@b.example"}}};

class ACertificateRequest : public testing::Test {
 protected:
  std::unique_ptr<PrivateKey> make_key(KeyAlgorithm algorithm) {
    auto key = token.create_key({.algorithm = algorithm, .label = "test"});
    if (!key) throw std::runtime_error(key.error().sentence());
    return std::move(*key);
  }

  static Result<Bytes> request(PrivateKey& key, const CsrSpec& spec) {
    auto signing = SigningKey::wrap(key);
    if (!signing) return fail(std::move(signing.error()));
    return make_csr(**signing, spec);
  }

  /// The openssl command's reading of a request whose signature it has verified.
  static std::string openssl_reads(const Bytes& der) {
    const auto outcome = test::run({.argv = {"openssl", "req", "-inform", "DER", "-text", "-noout", "-verify",
                                             "-nameopt", "utf8,sep_comma_plus", "-pubkey"},
                                    .input = std::string(as_text(der))});
    EXPECT_TRUE(outcome.ok()) << outcome.errors;
    EXPECT_THAT(outcome.errors, HasSubstr("verify OK"));
    return outcome.output;
  }

  test::FakeHardware hardware;
  test::FakeToken token{hardware};
};

TEST_F(ACertificateRequest, HoldsWhatWasAskedFor) {
  const auto key = make_key(KeyAlgorithm::ec_p256);
  const auto der = request(*key, {.names = gateway, .challenge_password = std::nullopt});
  ASSERT_TRUE(der) << der.error().sentence();
  const std::string text = openssl_reads(*der);
  EXPECT_THAT(text, AllOf(HasSubstr("Version: 1 (0x0)"), HasSubstr("Subject: O=Exämple, Inc.,serialNumber=17\n"),
                          HasSubstr("X509v3 Key Usage: critical\n                    Digital Signature\n"),
                          HasSubstr("X509v3 Extended Key Usage: \n                    TLS Web Client Authentication\n"),
                          HasSubstr("DNS:gw.example, IP Address:2001:DB8:0:0:0:0:0:1, URI:urn:dev:17, "
                                    "email:a@b.example"),
                          HasSubstr("Signature Algorithm: ecdsa-with-SHA256"), Not(HasSubstr("challengePassword"))));
  EXPECT_THAT(text, HasSubstr(test::public_key_pem(std::string(as_text(key->public_key().spki)))));
}

TEST_F(ACertificateRequest, IsSignedWithTheDigestThatFitsTheKey) {
  const std::vector<std::pair<KeyAlgorithm, std::string>> algorithms = {
      {KeyAlgorithm::ec_p256, "ecdsa-with-SHA256"},
      {KeyAlgorithm::ec_p384, "ecdsa-with-SHA384"},
      {KeyAlgorithm::rsa_2048, "sha256WithRSAEncryption"},
      {KeyAlgorithm::rsa_3072, "sha256WithRSAEncryption"},
  };
  for (const auto& [algorithm, name] : algorithms) {
    const auto key = make_key(algorithm);
    const auto der = request(*key, {.names = gateway, .challenge_password = std::nullopt});
    ASSERT_TRUE(der) << der.error().sentence();
    EXPECT_THAT(openssl_reads(*der), HasSubstr("Signature Algorithm: " + name));
  }
}

TEST_F(ACertificateRequest, CostsOneSignature) {
  const auto key = make_key(KeyAlgorithm::ec_p256);
  ASSERT_TRUE(request(*key, {.names = gateway, .challenge_password = std::nullopt}));
  EXPECT_EQ(hardware.count(test::Operation::sign), 1U);
}

TEST_F(ACertificateRequest, CarriesTheChannelBinding) {
  const auto key = make_key(KeyAlgorithm::ec_p256);
  const auto der = request(*key, {.names = gateway, .challenge_password = "kT9+/a=="});
  ASSERT_TRUE(der) << der.error().sentence();
  EXPECT_THAT(openssl_reads(*der), HasSubstr("challengePassword        :kT9+/a=="));
  EXPECT_THAT(
      test::output_of({.argv = {"openssl", "asn1parse", "-inform", "DER"}, .input = std::string(as_text(*der))}),
      testing::ContainsRegex("PRINTABLESTRING +:kT9"));
}

TEST_F(ACertificateRequest, MarksTheAlternativeNamesCriticalIfThereIsNoSubject) {
  const auto key = make_key(KeyAlgorithm::ec_p256);
  const auto der = request(*key, {.names = {.subject = {}, .alternatives = {{.kind = Kind::dns, .value = "gw"}}},
                                  .challenge_password = std::nullopt});
  ASSERT_TRUE(der) << der.error().sentence();
  EXPECT_THAT(openssl_reads(*der), HasSubstr("X509v3 Subject Alternative Name: critical"));
}

TEST_F(ACertificateRequest, IsNotMadeForNamesThatCannotBeEncoded) {
  const auto key = make_key(KeyAlgorithm::ec_p256);
  const auto der = request(*key, {.names = {.subject = {{.type = "C", .value = "Germany"}}, .alternatives = {}},
                                  .challenge_password = std::nullopt});
  ASSERT_FALSE(der);
  EXPECT_EQ(der.error().code, Errc::config_invalid);
  EXPECT_EQ(hardware.count(test::Operation::sign), 0U);
}

TEST_F(ACertificateRequest, SaysWhatTheTokenSaidWhenItCannotSign) {
  const auto key = make_key(KeyAlgorithm::ec_p256);
  auto signing = SigningKey::wrap(*key);
  ASSERT_TRUE(signing);
  hardware.fail_all({.code = Errc::token_locked_out, .retry = Retry::later, .what = "locked", .hint = "wait"});
  const auto der = make_csr(**signing, {.names = gateway, .challenge_password = std::nullopt});
  ASSERT_FALSE(der);
  EXPECT_EQ(der.error().code, Errc::token_locked_out);
  EXPECT_EQ(der.error().hint, "wait");
  EXPECT_EQ(der.error().what, "cannot sign the certificate request: locked");
}

/// A key that claims to be another one.
class LyingKey final : public PrivateKey {
 public:
  LyingKey(std::unique_ptr<PrivateKey> real, PublicKey claimed)
      : real_(std::move(real)), claimed_(std::move(claimed)) {}
  [[nodiscard]] const PublicKey& public_key() const override { return claimed_; }
  [[nodiscard]] std::string pem() const override { return real_->pem(); }
  Result<Bytes> sign(BytesView digest, SignatureScheme scheme) override { return real_->sign(digest, scheme); }

 private:
  std::unique_ptr<PrivateKey> real_;
  PublicKey claimed_;
};

TEST_F(ACertificateRequest, IsNotSentIfTheTokenSignsWithAnotherKey) {
  LyingKey key(make_key(KeyAlgorithm::ec_p256), make_key(KeyAlgorithm::ec_p256)->public_key());
  const auto der = request(key, {.names = gateway, .challenge_password = std::nullopt});
  ASSERT_FALSE(der);
  EXPECT_EQ(der.error().code, Errc::token_wrong_key);
}

TEST_F(ACertificateRequest, AsksForItsNamesAndForNoOthers) {
  const auto key = make_key(KeyAlgorithm::ec_p256);
  const auto der = request(*key, {.names = gateway, .challenge_password = std::nullopt});
  ASSERT_TRUE(der);
  EXPECT_TRUE(asks_for(*der, gateway));
  Names other = gateway;
  other.alternatives.pop_back();
  EXPECT_FALSE(asks_for(*der, other));
  other.alternatives.clear();
  EXPECT_FALSE(asks_for(*der, other));
  other = gateway;
  other.subject.back().value = "18";
  EXPECT_FALSE(asks_for(*der, other));
  EXPECT_FALSE(asks_for(as_bytes("garbage"), gateway));
  const Names plain = {.subject = gateway.subject, .alternatives = {}};
  EXPECT_TRUE(asks_for(request(*key, {.names = plain, .challenge_password = std::nullopt}).value(), plain));
}

}  // namespace
}  // namespace devid::pki
