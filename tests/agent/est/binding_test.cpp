#include "agent/est/binding.h"

#include <gtest/gtest.h>

#include <array>

#include "base/openssl.h"
#include "tests/support/test_pki.h"

namespace devid::est {
namespace {

using Context = Owned<SSL_CTX, SSL_CTX_free>;
using Connection = Owned<SSL, SSL_free>;
using TlsSession = Owned<SSL_SESSION, SSL_SESSION_free>;

/// Both ends of TLS connections in memory.
class AChannelBinding : public testing::Test {
 protected:
  struct Ends {
    Connection client;
    Connection server;
  };

  AChannelBinding() {
    devid::test::TestPki pki;
    pki.make_ca("operator");
    const auto server = pki.issue_server("operator");
    SSL_CTX_use_certificate_chain_file(server_.get(), server.full_chain.c_str());
    SSL_CTX_use_PrivateKey_file(server_.get(), server.key.c_str(), SSL_FILETYPE_PEM);
  }

  Ends connect(int version, SSL_SESSION* session = nullptr) {
    SSL_CTX_set_max_proto_version(client_.get(), version);
    Ends ends{.client = Connection(SSL_new(client_.get())), .server = Connection(SSL_new(server_.get()))};
    if (session != nullptr) SSL_set_session(ends.client.get(), session);
    BIO* to_server = nullptr;
    BIO* to_client = nullptr;
    BIO_new_bio_pair(&to_server, 0, &to_client, 0);
    SSL_set_bio(ends.client.get(), to_server, to_server);
    SSL_set_bio(ends.server.get(), to_client, to_client);
    SSL_set_connect_state(ends.client.get());
    SSL_set_accept_state(ends.server.get());
    for (int i = 0; i < 10; ++i) {
      SSL_do_handshake(ends.client.get());
      SSL_do_handshake(ends.server.get());
    }
    EXPECT_TRUE(SSL_is_init_finished(ends.client.get()));
    return ends;
  }

  Context client_{SSL_CTX_new(TLS_client_method())};
  Context server_{SSL_CTX_new(TLS_server_method())};
};

std::string base64(std::span<const unsigned char> bytes) {
  std::array<unsigned char, 128> text{};
  const int size = EVP_EncodeBlock(text.data(), bytes.data(), static_cast<int>(bytes.size()));
  return {text.begin(), text.begin() + size};
}

std::string sent_by_peer(const SSL* ssl) {
  std::array<unsigned char, 64> finished{};
  return base64(std::span(finished).first(SSL_get_peer_finished(ssl, finished.data(), finished.size())));
}

TEST_F(AChannelBinding, IsTheClientsFinishedOfAFullHandshake) {
  const Ends ends = connect(TLS1_2_VERSION);
  EXPECT_EQ(channel_binding(ends.client.get(), BindingKind::tls_unique), sent_by_peer(ends.server.get()));
}

TEST_F(AChannelBinding, IsTheServersFinishedOfAResumedHandshake) {
  const Ends first = connect(TLS1_2_VERSION);
  const TlsSession session(SSL_get1_session(first.client.get()));
  const Ends second = connect(TLS1_2_VERSION, session.get());
  ASSERT_EQ(SSL_session_reused(second.client.get()), 1);
  EXPECT_EQ(channel_binding(second.client.get(), BindingKind::tls_unique), sent_by_peer(second.client.get()));
}

TEST_F(AChannelBinding, IsWhatBothEndsExport) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const Ends ends = connect(version);
    const auto binding = channel_binding(ends.client.get(), BindingKind::tls_exporter);
    ASSERT_TRUE(binding);
    std::array<unsigned char, 32> material{};
    ASSERT_EQ(SSL_export_keying_material(ends.server.get(), material.data(), material.size(),
                                         "EXPORTER-Channel-Binding", 24, nullptr, 0, 0),
              1);
    EXPECT_EQ(*binding, base64(material));
    EXPECT_NE(channel_binding(connect(version).client.get(), BindingKind::tls_exporter).value_or(""), *binding);
  }
}

TEST_F(AChannelBinding, IsNoTlsUniqueInTls13) {
  const auto binding = channel_binding(connect(TLS1_3_VERSION).client.get(), BindingKind::tls_unique);
  ASSERT_FALSE(binding);
  EXPECT_EQ(binding.error().code, Errc::config_invalid);
}

TEST_F(AChannelBinding, IsNotTakenWhereAnotherConnectionMayHaveTheSame) {
  SSL_CTX_set_options(server_.get(), SSL_OP_NO_EXTENDED_MASTER_SECRET);
  const Ends first = connect(TLS1_2_VERSION);
  EXPECT_TRUE(channel_binding(first.client.get(), BindingKind::tls_unique));
  EXPECT_EQ(channel_binding(first.client.get(), BindingKind::tls_exporter).error().code, Errc::tls_failed);
  const TlsSession session(SSL_get1_session(first.client.get()));
  const Ends second = connect(TLS1_2_VERSION, session.get());
  ASSERT_EQ(SSL_session_reused(second.client.get()), 1);
  EXPECT_EQ(channel_binding(second.client.get(), BindingKind::tls_unique).error().code, Errc::tls_failed);
}

}  // namespace
}  // namespace devid::est
