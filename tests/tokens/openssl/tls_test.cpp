// TLS client authentication through SigningKey, against a server of OpenSSL's own.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/rsa.h>

#include "tests/support/fake_token.h"
#include "tests/tokens/openssl/tls_handshake.h"
#include "tokens/openssl/signing_key.h"

namespace devid::test {
namespace {

using testing::HasSubstr;

const Error broken{.code = Errc::token_locked_out, .retry = Retry::later, .what = "the token was told to fail"};

class ATlsClient : public testing::Test {
 protected:
  void use_key(KeyAlgorithm algorithm) {
    auto made = token_.create_key({.algorithm = algorithm});
    ASSERT_TRUE(made) << made.error().sentence();
    key_.reset();
    private_key_ = std::move(*made);
    auto wrapped = SigningKey::wrap(*private_key_);
    ASSERT_TRUE(wrapped) << wrapped.error().sentence();
    key_ = std::move(*wrapped);
    const auto issued = pki_.issue(
        {.issuer = "devices", .public_key = public_key_pem(std::string(as_text(private_key_->public_key().spki)))});
    certificate_ = issued.certificate_pem;
    client_ = tls_client(servers_, certificate_, key_->get());
    ASSERT_TRUE(client_) << openssl_reason();
    server_ = tls_server(devices_, own_);
    ASSERT_TRUE(server_) << openssl_reason();
    operations_before_ = hardware_.operations();
  }

  void expect_authenticated(const Handshake& seen, int version) {
    EXPECT_TRUE(seen.client_done) << seen.client_reason;
    EXPECT_TRUE(seen.server_done);
    EXPECT_TRUE(seen.data_exchanged);
    EXPECT_EQ(seen.version, version);
    EXPECT_EQ(as_text(seen.client_certificate), pem_to_der(certificate_));
    EXPECT_EQ(key_->signatures(), 1U);
    EXPECT_EQ(hardware_.count(Operation::sign), 1U);
    EXPECT_EQ(hardware_.operations(), operations_before_ + 1) << "the token was asked for more than one signature";
  }

  Handshake connect(int version) {
    SSL_CTX_set_max_proto_version(client_.get(), version);
    SSL_CTX_set_min_proto_version(client_.get(), version);
    return shake_hands(client_.get(), server_.get());
  }

  TestPki pki_;
  TestCredential devices_ = pki_.make_ca("devices");
  TestCredential servers_ = pki_.make_ca("servers");
  TestCredential own_ = pki_.issue_server("servers");
  FakeHardware hardware_;
  FakeToken token_{hardware_};
  std::unique_ptr<PrivateKey> private_key_;
  std::unique_ptr<SigningKey> key_;
  std::string certificate_;
  SslContext client_;
  SslContext server_;
  unsigned operations_before_ = 0;
};

struct Case {
  KeyAlgorithm algorithm;
  int version;
};

std::string name_of(const Case& value) {
  std::string name(algorithm_name(value.algorithm));
  name.replace(name.find('-'), 1, "_");
  return name + (value.version == TLS1_3_VERSION ? "_tls13" : "_tls12");
}

void PrintTo(const Case& value, std::ostream* out) { *out << name_of(value); }  // NOLINT: the name is GoogleTest's

class ATlsClientWith : public ATlsClient, public testing::WithParamInterface<Case> {};

TEST_P(ATlsClientWith, AKeyOfTheTokenAuthenticatesWithOneSignature) {
  use_key(GetParam().algorithm);
  const Handshake seen = connect(GetParam().version);
  expect_authenticated(seen, GetParam().version);
  EXPECT_EQ(seen.client_signature, is_rsa(GetParam().algorithm) ? EVP_PKEY_RSA_PSS : EVP_PKEY_EC);
  EXPECT_FALSE(key_->take_error());
}

INSTANTIATE_TEST_SUITE_P(
    OfEveryKind, ATlsClientWith,
    testing::Values(Case{KeyAlgorithm::ec_p256, TLS1_2_VERSION}, Case{KeyAlgorithm::ec_p256, TLS1_3_VERSION},
                    Case{KeyAlgorithm::ec_p384, TLS1_2_VERSION}, Case{KeyAlgorithm::ec_p384, TLS1_3_VERSION},
                    Case{KeyAlgorithm::ec_p521, TLS1_2_VERSION}, Case{KeyAlgorithm::ec_p521, TLS1_3_VERSION},
                    Case{KeyAlgorithm::rsa_2048, TLS1_2_VERSION}, Case{KeyAlgorithm::rsa_2048, TLS1_3_VERSION},
                    Case{KeyAlgorithm::rsa_3072, TLS1_2_VERSION}, Case{KeyAlgorithm::rsa_3072, TLS1_3_VERSION},
                    Case{KeyAlgorithm::rsa_4096, TLS1_2_VERSION}, Case{KeyAlgorithm::rsa_4096, TLS1_3_VERSION}),
    [](const auto& of) { return name_of(of.param); });

TEST_F(ATlsClient, SignsWithPkcs1WhereAServerKnowsNoPss) {
  use_key(KeyAlgorithm::rsa_2048);
  ASSERT_EQ(SSL_CTX_set1_client_sigalgs_list(server_.get(), "RSA+SHA256:RSA+SHA384"), 1);
  const Handshake seen = connect(TLS1_2_VERSION);
  expect_authenticated(seen, TLS1_2_VERSION);
  EXPECT_EQ(seen.client_signature, EVP_PKEY_RSA);
}

TEST_F(ATlsClient, SignsWithTheDigestThatTheServerWants) {
  use_key(KeyAlgorithm::rsa_3072);
  ASSERT_EQ(SSL_CTX_set1_client_sigalgs_list(server_.get(), "rsa_pss_rsae_sha512"), 1);
  expect_authenticated(connect(TLS1_3_VERSION), TLS1_3_VERSION);
}

TEST_F(ATlsClient, FailsWithTheReasonOfTheTokenBesideTheKey) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    use_key(KeyAlgorithm::ec_p256);
    hardware_.fail_nth(1, broken);
    const Handshake seen = connect(version);
    EXPECT_FALSE(seen.client_done);
    EXPECT_FALSE(seen.server_done);
    EXPECT_EQ(key_->signatures(), 0U);
    const Error error = key_->take_error().value_or(Error{});
    EXPECT_EQ(error.code, broken.code);
    EXPECT_EQ(error.what, broken.what);
    EXPECT_FALSE(key_->take_error()) << "it is told once";

    const Handshake again = connect(version);
    EXPECT_TRUE(again.server_done) << again.client_reason;
    EXPECT_FALSE(key_->take_error());
  }
}

TEST_F(ATlsClient, FailsAndDoesNotCrashWhenTheKeyIsGone) {
  use_key(KeyAlgorithm::ec_p256);
  key_.reset();
  private_key_.reset();
  const Handshake seen = connect(TLS1_3_VERSION);
  EXPECT_FALSE(seen.client_done);
  EXPECT_FALSE(seen.server_done);
  EXPECT_THAT(seen.client_reason, HasSubstr("closed"));
  EXPECT_EQ(hardware_.count(Operation::sign), 0U);
}

TEST_F(ATlsClient, IsNotAuthenticatedWithTheCertificateOfAnotherKey) {
  use_key(KeyAlgorithm::ec_p256);
  const TestCredential other = pki_.issue({.issuer = "devices"});
  EXPECT_FALSE(tls_client(servers_, other.certificate_pem, key_->get()));
  EXPECT_THAT(openssl_reason(), HasSubstr("key values mismatch"));
}

TEST_F(ATlsClient, StillRefusesAServerThatItDoesNotTrust) {
  use_key(KeyAlgorithm::ec_p256);
  server_ = tls_server(devices_, pki_.issue_server("devices"));
  const Handshake seen = connect(TLS1_3_VERSION);
  EXPECT_FALSE(seen.client_done);
  EXPECT_THAT(seen.client_reason, HasSubstr("certificate verify failed"));
  EXPECT_EQ(hardware_.count(Operation::sign), 0U);
}

}  // namespace
}  // namespace devid::test
