// TLS client authentication with keys of a TPM: new ones, and the one that the factory made.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/swtpm.h"
#include "tests/support/tpm_factory.h"
#include "tests/support/tpm_tap.h"
#include "tests/tokens/openssl/tls_handshake.h"
#include "tokens/openssl/signing_key.h"
#include "tokens/tpm/tpm_token.h"

namespace devid::test {
namespace {

constexpr std::uint32_t lockout = 0x921;

class ATpm : public testing::Test {
 protected:
  std::string certificate_for(const PrivateKey& key) {
    const std::string spki(as_text(key.public_key().spki));
    return pki_.issue({.issuer = "devices", .public_key = public_key_pem(spki)}).certificate_pem;
  }

  void expect_authenticates(PrivateKey& private_key, int version) {
    const auto key = SigningKey::wrap(private_key);
    ASSERT_TRUE(key) << key.error().sentence();
    const std::string certificate = certificate_for(private_key);
    const SslContext client = tls_client(servers_, certificate, (*key)->get());
    const SslContext server = tls_server(devices_, own_);
    ASSERT_TRUE(client && server) << openssl_reason();
    SSL_CTX_set_max_proto_version(client.get(), version);
    SSL_CTX_set_min_proto_version(client.get(), version);
    tap_.reset();
    const Handshake seen = shake_hands(client.get(), server.get());
    EXPECT_TRUE(seen.data_exchanged) << seen.client_reason;
    EXPECT_EQ(seen.version, version);
    EXPECT_EQ(as_text(seen.client_certificate), pem_to_der(certificate));
    EXPECT_EQ((*key)->signatures(), 1U);
    // A TPM that has just started may answer its first ECDSA signature with "retry", which is no second one.
    const auto tapped = tap_.seen();
    EXPECT_EQ(tapped.count(TpmCommand::sign), 1 + tapped.retried) << tapped.summary();
    EXPECT_LE(tapped.most_transient, 2U);
  }

  void expect_authenticates(PrivateKey& key) {
    expect_authenticates(key, TLS1_2_VERSION);
    expect_authenticates(key, TLS1_3_VERSION);
  }

  TestPki pki_;
  TestCredential devices_ = pki_.make_ca("devices");
  TestCredential servers_ = pki_.make_ca("servers");
  TestCredential own_ = pki_.issue_server("servers");
  Swtpm swtpm_;
  TpmTap tap_{swtpm_};
  TpmToken token_{{.tcti = tap_.tcti()}};
};

TEST_F(ATpm, AuthenticatesATlsClientWithAnEcP256Key) {
  const auto key = token_.create_key({.algorithm = KeyAlgorithm::ec_p256});
  ASSERT_TRUE(key) << key.error().sentence();
  expect_authenticates(**key);
}

TEST_F(ATpm, AuthenticatesATlsClientWithAnEcP384Key) {
  const auto key = token_.create_key({.algorithm = KeyAlgorithm::ec_p384});
  ASSERT_TRUE(key) << key.error().sentence();
  expect_authenticates(**key);
}

TEST_F(ATpm, AuthenticatesATlsClientWithAnEcP521Key) {
  const auto key = token_.create_key({.algorithm = KeyAlgorithm::ec_p521});
  ASSERT_TRUE(key) << key.error().sentence();
  expect_authenticates(**key);
}

TEST_F(ATpm, AuthenticatesATlsClientWithAnRsa2048Key) {
  const auto key = token_.create_key({.algorithm = KeyAlgorithm::rsa_2048});
  ASSERT_TRUE(key) << key.error().sentence();
  expect_authenticates(**key);
}

TEST_F(ATpm, AuthenticatesATlsClientWithTheFactorysKey) {
  const ManufacturedTpm factory = manufacture(swtpm_, pki_.directory() / "factory");
  const auto key = token_.open_key_at(factory.key_location);
  ASSERT_TRUE(key) << key.error().sentence();
  expect_authenticates(**key);
}

TEST_F(ATpm, ThatRefusesToSignTellsWhyBesideTheKey) {
  const auto private_key = token_.create_key({});
  ASSERT_TRUE(private_key) << private_key.error().sentence();
  const auto key = SigningKey::wrap(**private_key);
  ASSERT_TRUE(key) << key.error().sentence();
  tap_.answer(TpmCommand::sign, lockout);
  const SslContext client = tls_client(servers_, certificate_for(**private_key), (*key)->get());
  const SslContext server = tls_server(devices_, own_);
  ASSERT_TRUE(client && server) << openssl_reason();
  const Handshake seen = shake_hands(client.get(), server.get());
  EXPECT_FALSE(seen.client_done || seen.server_done);
  EXPECT_EQ((*key)->take_error().value_or(Error{}).code, Errc::token_locked_out);
}

}  // namespace
}  // namespace devid::test
