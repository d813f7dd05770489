#include "agent/pki/revocation_urls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/asn1_values.h"
#include "tests/support/certificate_of.h"
#include "tests/support/test_pki.h"

namespace devid::pki {
namespace {

namespace asn1 = test::asn1;
using testing::ElementsAre;
using testing::IsEmpty;

std::string hex(BytesView bytes) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string text;
  for (const std::byte byte : bytes)
    text.append({digits[std::to_integer<unsigned>(byte) >> 4U], digits[std::to_integer<unsigned>(byte) & 15U]});
  return text;
}

/// The uniformResourceIdentifier of a GeneralName, whatever its octets.
Bytes name_of(const std::string& url) { return asn1::retagged(asn1::octets(as_bytes(url)), 0x86); }

class AUrlOfACertificate : public testing::Test {
 protected:
  AUrlOfACertificate() { pki.make_ca("root"); }

  /// Of a certificate with this URL in both places, as it stands there.
  RevocationUrls urls_with(const std::string& url) {
    const Bytes full_name = asn1::retagged(asn1::sequence({name_of(url)}), 0xa0);
    const Bytes point = asn1::sequence({asn1::retagged(asn1::sequence({full_name}), 0xa0)});
    const Bytes access = asn1::sequence({asn1::object("1.3.6.1.5.5.7.48.1"), name_of(url)});
    const auto credential =
        pki.issue({.issuer = "root",
                   .more_extensions = {"crlDistributionPoints=DER:" + hex(asn1::sequence({point})),
                                       "authorityInfoAccess=DER:" + hex(asn1::sequence({access}))}});
    return revocation_urls(test::certificate_of(credential.certificate_pem));
  }

  test::TestPki pki;
};

TEST_F(AUrlOfACertificate, IsPrintableAsciiOfAtMost2048Bytes) {
  const std::string begin = "http://ca.test/";
  const std::string longest = begin + std::string(2048 - begin.size(), 'x');
  for (const std::string& good : {begin + "!~", longest}) {
    const RevocationUrls urls = urls_with(good);
    EXPECT_THAT(urls.ocsp, ElementsAre(good));
    EXPECT_THAT(urls.crl, ElementsAre(good));
  }
  for (const std::string& bad : {begin + "\r\nHost: other", begin + "\n", begin + std::string(1, '\0'), begin + " ",
                                 begin + "\x7f", begin + "\x80", begin + "\xc3\xa4", longest + "x"}) {
    const RevocationUrls urls = urls_with(bad);
    EXPECT_THAT(urls.ocsp, IsEmpty()) << bad.size();
    EXPECT_THAT(urls.crl, IsEmpty()) << bad.size();
  }
}

}  // namespace
}  // namespace devid::pki
