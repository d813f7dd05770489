#include "tokens/pkcs11/uri_pem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/command.h"

namespace devid::pkcs11 {
namespace {

using testing::HasSubstr;

constexpr const char* uri = "pkcs11:token=dev;id=%01;type=private";

/// PEM as pkcs11-provider's uri2pem would write it, by the openssl command, in whose configuration # begins a comment.
std::string pem_of(const std::string& description, const std::string& text, const std::string& kind = "VISIBLESTRING",
                   const std::string& tail = "") {
  const std::string structure = "asn1 = SEQUENCE:s\n[s]\nd = " + kind + ":" + description + "\nu = UTF8:" + text + "\n";
  const std::string der =
      test::output_of({.argv = {"openssl", "asn1parse", "-genconf", "/dev/stdin", "-noout", "-out", "/dev/stdout"},
                       .input = structure});
  return "-----BEGIN PKCS#11 PROVIDER URI-----\n" +
         test::output_of({.argv = {"openssl", "base64"}, .input = der + tail}) + "-----END PKCS#11 PROVIDER URI-----\n";
}

TEST(AUriPem, IsReadAsItWasWritten) {
  const auto pem = write_uri_pem(uri);
  ASSERT_TRUE(pem);
  EXPECT_EQ(read_uri_pem(*pem).value_or("nothing"), uri);
}

TEST(AUriPem, IsWhatPkcs11ProviderHasToTheByte) {
  EXPECT_EQ(write_uri_pem(uri).value_or("nothing"), pem_of("PKCS\\#11 Provider URI v1.0", uri));
}

TEST(AUriPem, IsReadByTheOpensslCommand) {
  const std::string said =
      test::output_of({.argv = {"openssl", "asn1parse"}, .input = write_uri_pem(uri).value_or("")});
  EXPECT_THAT(said, HasSubstr("VISIBLESTRING     :PKCS#11 Provider URI v1.0"));
  EXPECT_THAT(said, HasSubstr(std::string("UTF8STRING        :") + uri));
}

TEST(AUriPem, IsRefusedIfItIsAnythingElse) {
  const std::string good = write_uri_pem(uri).value_or("");
  for (const std::string& pem :
       {std::string(), std::string("nonsense"), " " + good, good + "more", good + good, good.substr(0, good.size() / 2),
        std::string("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"), std::string(200'000, 'A'),
        pem_of("PKCS\\#11 Provider URI v2.0", uri), pem_of("PKCS\\#11 Provider URI v1.0", uri, "UTF8"),
        pem_of("PKCS\\#11 Provider URI v1.0", uri, "VISIBLESTRING", "x")}) {
    const auto read = read_uri_pem(pem);
    ASSERT_FALSE(read) << pem.substr(0, 200);
    EXPECT_EQ(read.error().code, Errc::token_wrong_key);
    EXPECT_NE(read.error().reason, "");
  }
}

}  // namespace
}  // namespace devid::pkcs11
