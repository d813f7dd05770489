#include "agent/pki/name.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/pki/certificate.h"
#include "tests/support/test_pki.h"

namespace devid::pki {
namespace {

using Kind = AlternativeName::Kind;
using testing::HasSubstr;

Names subject(const std::string& type, const std::string& value) {
  return {.subject = {{.type = type, .value = value}}, .alternatives = {}};
}

Names alternative(Kind kind, const std::string& value) {
  return {.subject = {}, .alternatives = {{.kind = kind, .value = value}}};
}

std::string long_host(std::size_t size) {
  std::string host;
  while (host.size() + 64 < size) host += std::string(63, 'a') + ".";
  return host + std::string(size - host.size(), 'b');
}

TEST(NamesToAskFor, AreGoodIfTheyCanBeEncoded) {
  const std::vector<Names> good = {
      subject("CN", "gateway 17"),
      subject("CN", std::string(64, 'x')),
      subject("CN", "Gerät: +,\"<>;=#"),
      subject("O", "Exämple"),
      subject("C", "DE"),
      subject("serialNumber", "0815-AB"),
      subject("2.5.4.5", "0815"),
      subject("1.3.6.1.4.1.99999.1", "whatever ✓"),
      subject("emailAddress", "a@b.example"),
      subject("DC", "example"),
      subject("UID", "u1"),
      alternative(Kind::dns, "gw"),
      alternative(Kind::dns, "gw-1.example.COM"),
      alternative(Kind::dns, "_service.example"),
      alternative(Kind::dns, "*.example"),
      alternative(Kind::dns, long_host(253)),
      alternative(Kind::ip, "192.0.2.1"),
      alternative(Kind::ip, "2001:db8::1"),
      alternative(Kind::ip, "::ffff:192.0.2.1"),
      alternative(Kind::uri, "urn:dev:ops:32473-17"),
      alternative(Kind::uri, "https://example.com/a%20b?c=d#e"),
      alternative(Kind::email, "first.last+tag@mail.example"),
  };
  for (const Names& names : good) {
    const auto checked = check(names);
    EXPECT_TRUE(checked) << checked.error().sentence();
  }
}

TEST(NamesToAskFor, AreRefusedWithTheReasonIfTheyCannot) {
  using namespace std::string_literals;
  const std::vector<std::pair<Names, std::string>> bad = {
      {{}, "a subject or an alternative name is needed"},
      {subject("CN", ""), "it is empty"},
      {subject("CN", std::string(65, 'x')), "longer than 64 characters"},
      {subject("2.5.4.3", std::string(65, 'x')), "longer than 64 characters"},
      {subject("CN", std::string(63, 'x') + "ää"), "longer than 64 characters"},
      {subject("CN", "a\0b"s), "control characters"},
      {subject("CN", "a\nb"), "control characters"},
      {subject("CN", "\xff\xfe"), "utf8"},
      {subject("C", "DEU"), "longer than 2 characters"},
      {subject("C", "D"), "too short"},
      {subject("C", "DÄ"), "illegal characters"},
      {subject("serialNumber", "ä"), "illegal characters"},
      {subject("emailAddress", "ä@b.example"), "illegal characters"},
      {subject("1.3.6.1.4.1.99999.1", std::string(3000, 'x')), "too long"},
      {subject("", "x"), "no attribute has this name"},
      {subject("cn", "x"), "no attribute has this name"},
      {subject("commonName", "x"), "no attribute has this name"},
      {subject("SHA256", "x"), "no attribute has this name"},
      {subject("2.5.4.", "x"), "no attribute has this name"},
      {subject("9.9.9", "x"), "no OID"},
      {subject("2..5", "x"), "no attribute has this name"},
      {subject("1.2." + std::string(5000, '1'), "x"), "no attribute has this name"},
      {alternative(Kind::dns, ""), "no host name"},
      {alternative(Kind::dns, "gw."), "no host name"},
      {alternative(Kind::dns, ".gw"), "no host name"},
      {alternative(Kind::dns, "a..b"), "no host name"},
      {alternative(Kind::dns, "-a.b"), "no host name"},
      {alternative(Kind::dns, "a-.b"), "no host name"},
      {alternative(Kind::dns, "a b"), "no host name"},
      {alternative(Kind::dns, "gerät.example"), "no host name"},
      {alternative(Kind::dns, "a.*.b"), "no host name"},
      {alternative(Kind::dns, "a\0.b"s), "control characters"},
      {alternative(Kind::dns, std::string(64, 'a')), "no host name"},
      {alternative(Kind::dns, long_host(254)), "no host name"},
      {alternative(Kind::ip, "192.0.2"), "no IPv4 or IPv6 address"},
      {alternative(Kind::ip, "192.0.2.256"), "no IPv4 or IPv6 address"},
      {alternative(Kind::ip, "192.0.2.1/24"), "no IPv4 or IPv6 address"},
      {alternative(Kind::ip, "fe80::1%eth0"), "no IPv4 or IPv6 address"},
      {alternative(Kind::ip, "192.0.2.1\0"s), "control characters"},
      {alternative(Kind::uri, "gateway"), "no absolute URI"},
      {alternative(Kind::uri, "://x"), "no absolute URI"},
      {alternative(Kind::uri, "urn:"), "no absolute URI"},
      {alternative(Kind::uri, "1urn:x"), "no absolute URI"},
      {alternative(Kind::uri, "urn:a b"), "no absolute URI"},
      {alternative(Kind::uri, "urn:ä"), "no absolute URI"},
      {alternative(Kind::uri, "urn:a\\x00"), "no absolute URI"},
      {alternative(Kind::uri, "urn:" + std::string(2000, 'x')), "no absolute URI"},
      {alternative(Kind::email, "nobody"), "no mail address"},
      {alternative(Kind::email, "@b"), "no mail address"},
      {alternative(Kind::email, "a@"), "no mail address"},
      {alternative(Kind::email, "a@b@c"), "no mail address"},
      {alternative(Kind::email, "Dr A <a@b>"), "no mail address"},
  };
  for (const auto& [names, reason] : bad) {
    const auto checked = check(names);
    ASSERT_FALSE(checked) << reason;
    EXPECT_EQ(checked.error().code, Errc::config_invalid) << reason;
    EXPECT_EQ(checked.error().retry, Retry::after_operator) << reason;
    EXPECT_THAT(checked.error().sentence(), HasSubstr(reason));
  }
}

TEST(NamesToAskFor, AreNamedInTheComplaint) {
  EXPECT_EQ(check(subject("CN", "a\x1b[1mb")).error().sentence(),
            R"(cannot put subject attribute CN=a\x1b[1mb into a certificate request (it has control characters))");
  EXPECT_EQ(check(alternative(Kind::ip, "300.0.0.1")).error().sentence(),
            "cannot put alternative name IP:300.0.0.1 into a certificate request (it is no IPv4 or IPv6 address)");
}

TEST(AnAlternativeName, IsWrittenInItsCanonicalForm) {
  const auto text = [](Kind kind, const std::string& value) {
    return AlternativeName{.kind = kind, .value = value}.text();
  };
  EXPECT_EQ(text(Kind::dns, "gw.Example"), "DNS:gw.Example");
  EXPECT_EQ(text(Kind::uri, "urn:x"), "URI:urn:x");
  EXPECT_EQ(text(Kind::email, "a@b"), "email:a@b");
  EXPECT_EQ(text(Kind::ip, "192.0.2.1"), "IP:192.0.2.1");
  EXPECT_EQ(text(Kind::ip, "2001:DB8:0:0:0:0:0:1"), "IP:2001:db8::1");
  EXPECT_EQ(text(Kind::ip, "nonsense"), "IP:nonsense");
}

Certificate certificate_with(const test::CertificateSpec& spec) {
  test::TestPki pki;
  return read_certificates(as_bytes(pki.issue(spec).certificate_pem)).value().front();
}

TEST(TheNamesOfACertificate, CanBeAskedForAgain) {
  const Certificate certificate =
      certificate_with({.subject = "/C=DE/O=Exämple/OU=a/OU=b/CN=gateway 17/jurisdictionC=DE",
                        .alternative_names = {"DNS:gw.example", "IP:192.0.2.1", "IP:2001:db8::1", "URI:urn:dev:17",
                                              "email:a@b.example"}});
  const std::vector<NameAttribute> subject = {{"C", "DE"}, {"O", "Exämple"},     {"OU", "a"},
                                              {"OU", "b"}, {"CN", "gateway 17"}, {"1.3.6.1.4.1.311.60.2.1.3", "DE"}};
  const std::vector<AlternativeName> alternatives = {{Kind::dns, "gw.example"},
                                                     {Kind::ip, "192.0.2.1"},
                                                     {Kind::ip, "2001:db8::1"},
                                                     {Kind::uri, "urn:dev:17"},
                                                     {Kind::email, "a@b.example"}};
  EXPECT_EQ(subject_of(certificate), subject);
  EXPECT_EQ(alternatives_of(certificate), alternatives);
}

TEST(TheNamesOfACertificate, MayBeNone) {
  EXPECT_EQ(alternatives_of(certificate_with({.subject = "/CN=a"})), std::vector<AlternativeName>());
  EXPECT_EQ(subject_of(certificate_with({.subject = "/", .alternative_names = {"DNS:a"}})),
            std::vector<NameAttribute>());
}

TEST(TheNamesOfACertificate, AreNotGuessedWhereTheyCannotBeAskedFor) {
  EXPECT_FALSE(subject_of(certificate_with({.subject = "/O=Example/CN=gateway+serialNumber=17"})));
  const Certificate other = certificate_with({.alternative_names = {"DNS:a", "otherName:1.2.3.4;UTF8:x"}});
  EXPECT_FALSE(alternatives_of(other));
  EXPECT_TRUE(subject_of(other)) << "each by itself";
  EXPECT_FALSE(alternatives_of(certificate_with({.more_extensions = {"2.5.29.17=DER:0500"}})));
}

}  // namespace
}  // namespace devid::pki
