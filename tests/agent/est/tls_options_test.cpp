#include "agent/est/tls_options.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/provider.h>

#include "base/owned.h"

namespace devid::est {
namespace {

using Context = Owned<SSL_CTX, SSL_CTX_free>;

TEST(TheOptionsOfTls, AreOpenSslsOwnByDefault) { EXPECT_TRUE(check(TlsOptions{})); }

TEST(TheOptionsOfTls, MayNameListsThatOpenSslKnows) {
  EXPECT_TRUE(check({.minimum = TlsOptions::Version::tls_1_3,
                     .cipher_list = "ECDHE+AESGCM:!aNULL",
                     .cipher_suites = "TLS_AES_256_GCM_SHA384",
                     .groups = "P-384:X25519"}));
}

TEST(TheOptionsOfTls, AreRefusedWithTheListThatIsWrong) {
  for (const auto& options :
       {TlsOptions{.cipher_list = "NO-SUCH-CIPHER"}, TlsOptions{.cipher_list = "TLS_AES_128_GCM_SHA256"},
        TlsOptions{.cipher_suites = "TLS_NO_SUCH"}, TlsOptions{.groups = "P-384:X00"}}) {
    const auto checked = check(options);
    const std::string list = options.cipher_list + options.cipher_suites + options.groups;
    ASSERT_FALSE(checked) << list;
    EXPECT_EQ(checked.error().code, Errc::config_invalid);
    EXPECT_NE(checked.error().what.find(list), std::string::npos) << checked.error().what;
  }
}

TEST(TheOptionsOfTls, ReachTheContext) {
  const Context context(SSL_CTX_new(TLS_client_method()));
  ASSERT_TRUE(
      apply({.minimum = TlsOptions::Version::tls_1_3, .cipher_suites = "TLS_AES_256_GCM_SHA384"}, context.get()));
  EXPECT_EQ(SSL_CTX_get_min_proto_version(context.get()), TLS1_3_VERSION);
  EXPECT_STREQ(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(SSL_CTX_get_ciphers(context.get()), 0)),
               "TLS_AES_256_GCM_SHA384");
  EXPECT_NE(sk_SSL_CIPHER_num(SSL_CTX_get_ciphers(context.get())), 0);
}

TEST(TheOptionsOfTls, LowerNoSecurity) {
  const Context context(SSL_CTX_new(TLS_client_method()));
  ASSERT_TRUE(apply({.cipher_list = "ALL:@SECLEVEL=0"}, context.get()));
  EXPECT_EQ(SSL_CTX_get_security_level(context.get()), 2);
}

/// Debian has no FIPS provider; whoever has one sees that it is used.
TEST(TheOptionsOfTls, DemandFipsOrSayThatItIsNotThere) {
  const auto checked = check({.fips = true});
  if (checked) {
    EXPECT_EQ(OSSL_PROVIDER_available(nullptr, "fips"), 1);
  } else {
    EXPECT_EQ(checked.error().code, Errc::config_invalid);
    EXPECT_NE(checked.error().what.find("FIPS"), std::string::npos) << checked.error().what;
    EXPECT_FALSE(checked.error().reason.empty());
    EXPECT_EQ(check({.fips = true}).error().code, Errc::config_invalid) << "and again";
  }
  EXPECT_EQ(EVP_default_properties_is_fips_enabled(nullptr), 0) << "the process is left as it was";
  EXPECT_TRUE(check(TlsOptions{}));
}

}  // namespace
}  // namespace devid::est
