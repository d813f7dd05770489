#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/pki/csr.h"
#include "tests/support/asn1_text.h"
#include "tests/support/command.h"
#include "tests/support/fake_token.h"

namespace devid::pki {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const Names names = {.subject = {{.type = "CN", .value = "gateway"}},
                     .alternatives = {{.kind = AlternativeName::Kind::dns, .value = "gw.example"}}};
const CsrSpec plain = {.names = names, .challenge_password = std::nullopt};

class TheContentOfARequest : public testing::Test {
 protected:
  std::unique_ptr<SigningKey> make_key(KeyAlgorithm algorithm) {
    auto key = token.create_key({.algorithm = algorithm, .label = "test"});
    if (!key) throw std::runtime_error(key.error().sentence());
    keys.push_back(std::move(*key));
    auto signing = SigningKey::wrap(*keys.back());
    if (!signing) throw std::runtime_error(signing.error().sentence());
    return std::move(*signing);
  }

  static Bytes request(SigningKey& key, const CsrSpec& spec) {
    auto der = make_csr(key, spec);
    if (!der) throw std::runtime_error(der.error().sentence());
    return std::move(*der);
  }

  /// The openssl command's reading of a request whose signature it has verified.
  static std::string openssl_reads(const Bytes& der) {
    const auto outcome = test::run({.argv = {"openssl", "req", "-inform", "DER", "-text", "-noout", "-verify"},
                                    .input = std::string(as_text(der))});
    EXPECT_THAT(outcome.errors, HasSubstr("verify OK"));
    return outcome.output;
  }

  Bytes value(const std::string& item) const { return to_bytes(as_bytes(text.der(item))); }

  test::FakeHardware hardware;
  test::FakeToken token{hardware};
  std::vector<std::unique_ptr<PrivateKey>> keys;
  test::Asn1Text text;
};

TEST_F(TheContentOfARequest, IsSignedWithTheDigestThatIsAskedFor) {
  const std::vector<std::tuple<KeyAlgorithm, Digest, std::string>> cases = {
      {KeyAlgorithm::ec_p256, Digest::sha384, "ecdsa-with-SHA384"},
      {KeyAlgorithm::ec_p256, Digest::sha512, "ecdsa-with-SHA512"},
      {KeyAlgorithm::ec_p384, Digest::sha256, "ecdsa-with-SHA256"},
      {KeyAlgorithm::rsa_2048, Digest::sha512, "sha512WithRSAEncryption"},
  };
  for (const auto& [algorithm, digest, name] : cases) {
    CsrSpec spec = plain;
    spec.digest = digest;
    EXPECT_THAT(openssl_reads(request(*make_key(algorithm), spec)), HasSubstr("Signature Algorithm: " + name));
  }
}

TEST_F(TheContentOfARequest, MayBeOtherUsagesThanDevidsOwn) {
  const auto key = make_key(KeyAlgorithm::ec_p256);
  CsrSpec spec = plain;
  spec.extensions = {{.oid = "2.5.29.15", .critical = false, .value = value("FORMAT:HEX,BITSTR:88")}};
  std::string read = openssl_reads(request(*key, spec));
  EXPECT_THAT(read, AllOf(HasSubstr("X509v3 Key Usage: \n                    Digital Signature, Key Agreement"),
                          HasSubstr("TLS Web Client Authentication")));
  EXPECT_EQ(read.find("X509v3 Key Usage"), read.rfind("X509v3 Key Usage"));
  spec.extensions = {
      {.oid = "2.5.29.37", .critical = true, .value = value(text.sequence({"OID:clientAuth", "OID:emailProtection"}))}};
  read = openssl_reads(request(*key, spec));
  EXPECT_THAT(read, AllOf(HasSubstr("X509v3 Key Usage: critical\n                    Digital Signature\n"),
                          HasSubstr("X509v3 Extended Key Usage: critical\n                    "
                                    "TLS Web Client Authentication, E-mail Protection\n")));
}

TEST_F(TheContentOfARequest, HasTheExtensionsAndAttributesThatAreAskedFor) {
  CsrSpec spec = plain;
  spec.challenge_password = "secret";
  spec.critical_alternatives = true;
  spec.extensions = {{.oid = "2.5.29.19", .critical = true, .value = value(text.sequence({}))},
                     {.oid = "1.3.6.1.4.1.99999.1", .critical = false, .value = value("UTF8:whatever")}};
  spec.attributes = {{.oid = "2.5.4.5", .values = {value("PRINTABLE:4711")}},
                     {.oid = "1.3.6.1.1.1.1.22", .values = {value("IA5:02:00:5e:00:53:01"), value("BOOL:TRUE")}}};
  const Bytes der = request(*make_key(KeyAlgorithm::ec_p256), spec);
  EXPECT_THAT(openssl_reads(der),
              AllOf(HasSubstr("X509v3 Basic Constraints: critical\n                    CA:FALSE"),
                    HasSubstr("1.3.6.1.4.1.99999.1: \n                    ..whatever"),
                    HasSubstr("X509v3 Subject Alternative Name: critical\n                    DNS:gw.example"),
                    HasSubstr("serialNumber             :4711"), HasSubstr(":02:00:5e:00:53:01"),
                    HasSubstr("challengePassword        :secret")));
  EXPECT_TRUE(asks_for(der, names));
}

TEST_F(TheContentOfARequest, IsRefusedIfItCannotBeEncoded) {
  const auto key = make_key(KeyAlgorithm::ec_p256);
  const Bytes good = value("UTF8:x");
  Bytes longer = good;
  longer.push_back(std::byte{0});
  CsrSpec bad_extension = plain;
  bad_extension.extensions = {{.oid = "x", .critical = false, .value = good}};
  EXPECT_EQ(make_csr(*key, bad_extension).error().code, Errc::internal);
  for (const RequestAttribute& attribute : std::vector<RequestAttribute>{{.oid = "x", .values = {good}},
                                                                         {.oid = "2.5.4.5", .values = {}},
                                                                         {.oid = "2.5.4.5", .values = {{}}},
                                                                         {.oid = "2.5.4.5", .values = {longer}}}) {
    CsrSpec spec = plain;
    spec.attributes = {attribute};
    EXPECT_EQ(make_csr(*key, spec).error().code, Errc::internal);
    EXPECT_EQ(largest_csr(key->public_key(), spec).error().code, Errc::internal);
  }
  EXPECT_EQ(hardware.count(test::Operation::sign), 0U);
}

TEST_F(TheContentOfARequest, IsNeverLongerThanItWasSaidToBeNorMuchShorter) {
  CsrSpec full = plain;
  full.challenge_password = std::string(44, 'x');
  full.attributes = {{.oid = "2.5.4.5", .values = {value("PRINTABLE:4711")}}};
  full.extensions = {{.oid = "2.5.29.19", .critical = true, .value = value(text.sequence({}))}};
  CsrSpec odd = full;
  odd.digest = Digest::sha512;
  for (const KeyAlgorithm algorithm :
       {KeyAlgorithm::ec_p256, KeyAlgorithm::ec_p384, KeyAlgorithm::ec_p521, KeyAlgorithm::rsa_2048}) {
    const auto key = make_key(algorithm);
    for (const CsrSpec& spec : {plain, full, odd}) {
      const auto most = largest_csr(key->public_key(), spec);
      ASSERT_TRUE(most) << most.error().sentence();
      for (int i = 0; i < (is_rsa(algorithm) ? 1 : 40); ++i) {
        const Bytes der = request(*key, spec);
        EXPECT_LE(der.size(), *most);
        EXPECT_GE(der.size() + 16, *most);
        EXPECT_TRUE(!is_rsa(algorithm) || der.size() == *most);
      }
    }
  }
}

TEST_F(TheContentOfARequest, HasALengthOnlyIfItCanBeMade) {
  CsrSpec spec = plain;
  spec.names = {};
  EXPECT_EQ(largest_csr(make_key(KeyAlgorithm::ec_p256)->public_key(), spec).error().code, Errc::config_invalid);
}

}  // namespace
}  // namespace devid::pki
