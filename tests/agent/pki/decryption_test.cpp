#include "agent/pki/decryption.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/certificate_of.h"
#include "tests/support/command.h"
#include "tests/support/test_pki.h"

namespace devid::pki {
namespace {

using test::certificate_of;
using testing::HasSubstr;

/// What `openssl asn1parse` sees: the values only, one a line.
std::string parsed(BytesView der) {
  return test::output_of({.argv = {"sh", "-c", "openssl asn1parse -inform DER | sed -n 's/^.*prim: *[^:]*://p'"},
                          .input = std::string(as_text(der))});
}

class ADecryptionKey : public testing::Test {
 protected:
  ADecryptionKey() { pki.make_ca("root"); }

  static DecryptionKey shared(std::size_t size, std::string_view identifier = "gw") {
    return SymmetricDecryptionKey{.identifier = to_bytes(as_bytes(identifier)), .key = Secret(Bytes(size))};
  }
  DecryptionKey own(test::TestKey kind) {
    const auto credential = pki.issue({.issuer = "root", .key = kind});
    return AsymmetricDecryptionKey{.identifier = to_bytes(as_bytes("gw")),
                                   .certificate = certificate_of(credential.certificate_pem),
                                   .pkcs8 = Secret(as_bytes(test::output_of({.argv = {"cat", credential.key}})))};
  }

  test::TestPki pki;
};

TEST_F(ADecryptionKey, IsNamedInTheRequestWithTheWaysToEncryptForIt) {
  const std::string ciphers = "aes-256-gcm\naes-256-cbc\naes-128-gcm\naes-128-cbc\n";
  const std::string agreement = "dhSinglePass-stdDH-sha256kdf-scheme\n";
  const std::vector<std::tuple<DecryptionKey, std::string, std::string>> table = [&] {
    std::vector<std::tuple<DecryptionKey, std::string, std::string>> made;
    made.emplace_back(shared(16), "1.2.840.113549.1.9.16.2.37", "id-aes128-wrap\n");
    made.emplace_back(shared(24), "1.2.840.113549.1.9.16.2.37", "id-aes192-wrap\n");
    made.emplace_back(shared(32), "1.2.840.113549.1.9.16.2.37", "id-aes256-wrap\n");
    made.emplace_back(own(test::TestKey::rsa_2048), "1.2.840.113549.1.9.16.2.54", "rsaesOaep\nrsaEncryption\n");
    made.emplace_back(own(test::TestKey::ec_p256), "1.2.840.113549.1.9.16.2.54",
                      agreement + "id-aes256-wrap\n" + agreement + "id-aes128-wrap\n");
    return made;
  }();
  for (const auto& [key, oid, ways] : table) {
    const auto attributes = decryption_attributes(key);
    ASSERT_TRUE(attributes) << attributes.error().sentence();
    ASSERT_EQ(attributes->size(), 2U);
    EXPECT_EQ(attributes->at(0).oid, oid);
    ASSERT_EQ(attributes->at(0).values.size(), 1U);
    EXPECT_EQ(as_text(attributes->at(0).values[0]), "\x04\x02gw");
    EXPECT_EQ(attributes->at(1).oid, "1.2.840.113549.1.9.15");
    ASSERT_EQ(attributes->at(1).values.size(), 1U);
    EXPECT_EQ(parsed(attributes->at(1).values[0]), ways + ciphers);
  }
}

TEST_F(ADecryptionKey, IsNotNamedIfThereIsNone) { EXPECT_EQ(decryption_attributes({})->size(), 0U); }

TEST_F(ADecryptionKey, CanComeAsDerToo) {
  auto key = std::get<AsymmetricDecryptionKey>(own(test::TestKey::ec_p256));
  key.pkcs8 = Secret(as_bytes(test::pem_to_der(std::string(as_text(key.pkcs8.reveal())))));
  EXPECT_TRUE(load(key));
}

TEST_F(ADecryptionKey, IsRefusedIfItCannotBeUsed) {
  auto another = std::get<AsymmetricDecryptionKey>(own(test::TestKey::ec_p256));
  another.certificate = std::get<AsymmetricDecryptionKey>(own(test::TestKey::ec_p256)).certificate;
  const auto text = [&](const std::string& pem) {
    return AsymmetricDecryptionKey{.identifier = Bytes(1), .certificate = {}, .pkcs8 = Secret(as_bytes(pem))};
  };
  const auto generated = [&](std::vector<std::string> kind) {
    kind.insert(kind.begin(), {"openssl", "genpkey", "-algorithm"});
    return test::output_of({.argv = std::move(kind)});
  };
  std::vector<std::pair<DecryptionKey, std::string>> table;
  table.emplace_back(shared(0), "0 bytes");
  table.emplace_back(shared(20), "20 bytes");
  table.emplace_back(shared(16, ""), "identifier has 0 bytes");
  table.emplace_back(shared(16, std::string(2000, 'x')), "identifier has 2000 bytes");
  table.emplace_back(std::move(another), "for another key");
  table.emplace_back(text("garbage"), "");
  table.emplace_back(text("-----BEGIN PRIVATE KEY-----\ngarbage\n-----END PRIVATE KEY-----\n"), "");
  table.emplace_back(text(generated({"ed25519"})), "");
  table.emplace_back(text(generated({"RSA", "-aes256", "-pass", "pass:secret"})), "");
  for (const auto& [key, reason] : table) {
    const auto attributes = decryption_attributes(key);
    ASSERT_FALSE(attributes) << reason;
    EXPECT_EQ(attributes.error().code, Errc::config_invalid);
    EXPECT_THAT(attributes.error().reason, HasSubstr(reason));
  }
}

}  // namespace
}  // namespace devid::pki
