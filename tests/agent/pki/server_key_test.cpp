#include "agent/pki/server_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/certificate_of.h"
#include "tests/support/command.h"
#include "tests/support/test_pki.h"

namespace devid::pki {
namespace {

namespace fs = std::filesystem;
using test::certificate_of;
using testing::HasSubstr;

constexpr const char* kek = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
constexpr const char* key_package = "2.16.840.1.101.2.1.2.78.5";
constexpr const char* signed_data = "1.2.840.113549.1.7.2";

std::string content_of(const fs::path& file) { return test::output_of({.argv = {"cat", file}}); }

Bytes bytes_of(std::string_view digits) {
  Bytes bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoul(std::string(digits.substr(i, 2)), nullptr, 16)));
  return bytes;
}

class AKeyFromTheServer : public testing::Test {
 protected:
  /// Made once for all tests: RSA keys take their time.
  struct Material {
    Material();
    test::TestPki pki;
    test::TestCredential recipient;  ///< RSA
    test::TestCredential agreement;  ///< EC
    std::string pkcs8;
    std::string public_key;
  };
  static Material& material() {
    static Material made;
    return made;
  }

  [[nodiscard]] std::string file(const char* name) const { return pki.directory() / name; }
  static std::string der_of(const fs::path& key) {
    return test::output_of({.argv = {"openssl", "pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in", key}});
  }
  /// An RSAPrivateKey: what is in the PKCS#8.
  static std::string bare_rsa_key(const fs::path& key) {
    return test::output_of({.argv = {"openssl", "rsa", "-traditional", "-outform", "DER", "-in", key}});
  }

  /// DER by `openssl asn1parse -genconf`.
  std::string asn1(const std::string& sections) const {
    std::ofstream(file("asn1.cnf")) << sections;
    test::output_of(
        {.argv = {"openssl", "asn1parse", "-genconf", file("asn1.cnf"), "-noout", "-out", file("asn1.der")}});
    return content_of(file("asn1.der"));
  }

  /// SEQUENCE OF, `count` times the same. asn1parse has no word for DER that is there already.
  static std::string sequence_of(const std::string& der, unsigned count = 1) {
    const std::size_t size = der.size() * count;
    std::string out = {'\x30', '\x82', static_cast<char>(size >> 8U), static_cast<char>(size & 0xffU)};
    for (unsigned i = 0; i < count; ++i) out += der;
    return out;
  }

  std::string sign(const std::string& content, const std::string& type, std::vector<std::string> more = {}) const {
    std::vector<std::string> argv = {"openssl",
                                     "cms",
                                     "-sign",
                                     "-nodetach",
                                     "-binary",
                                     "-outform",
                                     "DER",
                                     "-econtent_type",
                                     type,
                                     "-signer",
                                     pki.ca("root").certificate,
                                     "-inkey",
                                     pki.ca("root").key};
    argv.insert(argv.end(), more.begin(), more.end());
    return test::output_of({.argv = std::move(argv), .input = content});
  }

  static std::string encrypt(const std::string& content, std::vector<std::string> how) {
    std::vector<std::string> argv = {"openssl", "cms", "-encrypt", "-binary", "-outform", "DER"};
    argv.insert(argv.end(), how.begin(), how.end());
    return test::output_of({.argv = std::move(argv), .input = content});
  }
  static std::string encrypt(const std::string& content, const std::string& cipher = "-aes-256-cbc") {
    return encrypt(content, {cipher, "-secretkey", kek, "-secretkeyid", "0a0b0c"});
  }

  static DecryptionKey shared(const std::string& key = kek, const std::string& id = "0a0b0c") {
    return SymmetricDecryptionKey{.identifier = bytes_of(id), .key = Secret(bytes_of(key))};
  }
  static DecryptionKey own(const test::TestCredential& credential, bool with_certificate = true) {
    return AsymmetricDecryptionKey{
        .identifier = bytes_of("17"),
        .certificate = with_certificate ? std::optional(certificate_of(credential.certificate_pem)) : std::nullopt,
        .pkcs8 = Secret(as_bytes(content_of(credential.key)))};
  }

  void expect_key(const Result<ServerKey>& key, const std::string& what) const {
    ASSERT_TRUE(key) << what << ": " << key.error().sentence();
    EXPECT_EQ(as_text(key->pkcs8.reveal()), pkcs8) << what;
    EXPECT_EQ(as_text(key->public_key.spki), public_key) << what;
  }
  static void expect_error(const Result<ServerKey>& key, Errc code, const std::string& reason) {
    ASSERT_FALSE(key) << reason;
    EXPECT_EQ(key.error().code, code) << key.error().sentence();
    EXPECT_THAT(key.error().sentence(), HasSubstr(reason));
  }

  test::TestPki& pki = material().pki;
  const test::TestCredential& recipient = material().recipient;
  const test::TestCredential& agreement = material().agreement;
  const std::string& pkcs8 = material().pkcs8;
  const std::string& public_key = material().public_key;
};

AKeyFromTheServer::Material::Material() {
  pki.make_ca("root");
  recipient = pki.issue({.issuer = "root", .key_usage = "", .extended_key_usage = "", .key = test::TestKey::rsa_2048});
  agreement = pki.issue({.issuer = "root", .key_usage = "", .extended_key_usage = ""});
  const fs::path key = pki.directory() / "key.pem";
  test::make_key(key, test::TestKey::ec_p256);
  pkcs8 = der_of(key);
  public_key = test::output_of({.argv = {"openssl", "pkey", "-pubout", "-outform", "DER", "-in", key}});
}

TEST_F(AKeyFromTheServer, IsReadAsPkcs8) {
  const std::vector<std::pair<test::TestKey, KeyAlgorithm>> table = {
      {test::TestKey::ec_p256, KeyAlgorithm::ec_p256},
      {test::TestKey::ec_p384, KeyAlgorithm::ec_p384},
      {test::TestKey::rsa_2048, KeyAlgorithm::rsa_2048},
      {test::TestKey::rsa_3072, KeyAlgorithm::rsa_3072},
  };
  for (const auto& [kind, algorithm] : table) {
    test::make_key(file("other.pem"), kind);
    const std::string der = der_of(file("other.pem"));
    const auto key = read_server_key(ServerKeyForm::plain, as_bytes(der), {});
    ASSERT_TRUE(key) << key.error().sentence();
    EXPECT_EQ(as_text(key->pkcs8.reveal()), der);
    EXPECT_EQ(key->public_key.algorithm, algorithm);
  }
}

TEST_F(AKeyFromTheServer, MayBeABareRsaKeyAsLibestHasIt) {
  test::make_key(file("rsa.pem"), test::TestKey::rsa_2048);
  const std::string bare = bare_rsa_key(file("rsa.pem"));
  const std::string expected = der_of(file("rsa.pem"));
  ASSERT_LT(bare.size(), expected.size());
  const auto plain = read_server_key(ServerKeyForm::plain, as_bytes(bare), {});
  ASSERT_TRUE(plain) << plain.error().sentence();
  EXPECT_EQ(as_text(plain->pkcs8.reveal()), expected);
  EXPECT_EQ(plain->public_key.algorithm, KeyAlgorithm::rsa_2048);
  const auto enveloped = read_enveloped_key(as_bytes(encrypt(bare)), shared());
  ASSERT_TRUE(enveloped) << enveloped.error().sentence();
  EXPECT_EQ(as_text(enveloped->pkcs8.reveal()), expected);
}

TEST_F(AKeyFromTheServer, IsRefusedAsAnotherBareKey) {
  test::make_key(file("rsa.pem"), test::TestKey::rsa_2048);
  const std::string bare = bare_rsa_key(file("rsa.pem"));
  test::output_of({.argv = {"openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt",
                            "rsa_keygen_primes:3", "-out", file("three.pem")}});
  const std::string ec = test::output_of({.argv = {"openssl", "ec", "-in", file("key.pem"), "-outform", "DER"}});
  std::string later = bare;
  later[6] = '\x02';  // the version
  std::string negative = bare;
  negative[11] = '\xff';  // the modulus
  for (const auto& bad : {bare + '\0', bare + bare, bare_rsa_key(file("three.pem")), ec, later, negative})
    expect_error(read_plain_key(as_bytes(bad)), Errc::answer_malformed, "");
  std::string odd = bare;
  odd[20] = static_cast<char>(odd[20] ^ 1);  // of the modulus
  expect_error(read_plain_key(as_bytes(odd)), Errc::answer_malformed, "does not fit");
  for (std::size_t i = 0; i < bare.size(); ++i) EXPECT_FALSE(read_plain_key(as_bytes(bare.substr(0, i)))) << i;
}

TEST_F(AKeyFromTheServer, LosesWhatNotEveryReaderKnows) {
  const auto conf = [](const std::string& private_key, const std::string& more) {
    return "asn1=SEQUENCE:key\n[key]\nversion=INTEGER:1\nalgorithm=SEQUENCE:algorithm\nprivate=FORMAT:HEX,OCT:" +
           private_key + "\n" + more +
           "[algorithm]\na=OID:id-ecPublicKey\nb=OID:prime256v1\n[set]\na=SEQUENCE:attribute\n"
           "[attribute]\ntype=OID:1.2.3.4\nvalues=SET:empty\n[empty]\n";
  };
  const auto inner = test::output_of({.argv = {"openssl", "ec", "-in", file("key.pem"), "-outform", "DER", "-no_public",
                                               "-param_enc", "named_curve"}});
  std::string digits;
  for (const char c : inner)
    digits += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4U],
        digits += "0123456789abcdef"[static_cast<unsigned char>(c) & 15U];
  const std::string with_all = asn1(conf(digits, "attributes=IMPLICIT:0,SET:set\npublic=IMPLICIT:1,BITSTRING:x\n"));
  for (const auto& der : {with_all, sequence_of(with_all)}) {
    const auto key = read_plain_key(as_bytes(der));
    ASSERT_TRUE(key) << key.error().sentence();
    EXPECT_EQ(as_text(key->public_key.spki), public_key);
    const auto again = test::run({.argv = {"openssl", "pkey", "-inform", "DER", "-pubout", "-outform", "DER"},
                                  .input = std::string(as_text(key->pkcs8.reveal()))});
    EXPECT_EQ(again.output, public_key) << again.errors;
    EXPECT_LT(key->pkcs8.size(), with_all.size());
  }
}

TEST_F(AKeyFromTheServer, ComesInEveryEnvelopeForASharedKey) {
  const std::string package = sequence_of(pkcs8);
  const std::string signed_package = sign(package, key_package);
  for (const char* cipher : {"-aes-128-cbc", "-aes-256-cbc", "-aes-256-gcm", "-des3"}) {
    expect_key(read_enveloped_key(as_bytes(encrypt(signed_package, cipher)), shared()), cipher);
    expect_key(read_enveloped_key(as_bytes(encrypt(pkcs8, cipher)), shared()), cipher);
  }
  expect_key(read_server_key(ServerKeyForm::enveloped, as_bytes(encrypt(package)), shared()), "bare package");
  expect_key(read_enveloped_key(as_bytes(encrypt(sign(pkcs8, "1.2.840.113549.1.7.1"))), shared()), "signed data");
  for (const auto& key : {std::string(kek).substr(0, 32), std::string(kek).substr(0, 48)})
    expect_key(
        read_enveloped_key(as_bytes(encrypt(pkcs8, {"-aes-128-cbc", "-secretkey", key, "-secretkeyid", "0a0b0c"})),
                           shared(key)),
        key);
}

TEST_F(AKeyFromTheServer, ComesWithTheTypeOfWhatIsEncrypted) {
  // The openssl command names everything id-data. The other types of PKCS#7 differ in the last byte.
  const auto typed = [&](const std::string& content, char type) {
    std::string der = encrypt(content);
    der[der.rfind("\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01") + 8] = type;
    return der;
  };
  const std::string package = sequence_of(pkcs8);
  const std::string message = sign(package, key_package);
  expect_key(read_enveloped_key(as_bytes(typed(message, 2)), shared()), "ContentInfo");
  test::output_of({.argv = {"sh", "-c", "openssl asn1parse -inform DER -strparse \"$1\" -noout -out \"$2\"", "sh", "19",
                            file("bare.der")},
                   .input = message});
  expect_key(read_enveloped_key(as_bytes(typed(content_of(file("bare.der")), 2)), shared()), "SignedData");
  expect_error(read_enveloped_key(as_bytes(typed(package, 3)), shared()), Errc::answer_malformed,
               "of type 1.2.840.113549.1.7.3");
  expect_error(read_enveloped_key(as_bytes(typed(pkcs8, 2)), shared()), Errc::answer_malformed, "no CMS SignedData");
}

TEST_F(AKeyFromTheServer, ComesInEveryEnvelopeForAKeyOfTheDevice) {
  const std::string message = sign(sequence_of(pkcs8), key_package);
  const std::vector<std::pair<const test::TestCredential*, std::vector<std::string>>> table = {
      {&recipient, {"-aes-256-cbc", "-recip", recipient.certificate}},
      {&recipient, {"-aes-256-cbc", "-recip", recipient.certificate, "-keyopt", "rsa_padding_mode:oaep"}},
      {&recipient, {"-aes-256-gcm", "-recip", recipient.certificate}},
      {&recipient, {"-aes-256-cbc", "-keyid", "-recip", recipient.certificate}},
      {&agreement, {"-aes-256-cbc", "-recip", agreement.certificate}},
      {&agreement, {"-aes-256-cbc", "-recip", agreement.certificate, "-keyopt", "ecdh_kdf_md:sha256"}},
      {&agreement, {"-aes-256-cbc", "-aes256-wrap", "-recip", agreement.certificate}},
      {&agreement, {"-aes-256-cbc", "-recip", recipient.certificate, "-recip", agreement.certificate}},
  };
  for (const auto& [credential, how] : table) {
    const std::string der = encrypt(message, how);
    for (const bool with_certificate : {true, false})
      expect_key(read_enveloped_key(as_bytes(der), own(*credential, with_certificate)), how.back());
  }
}

TEST_F(AKeyFromTheServer, IsRefusedInTheFormThatWasNotAgreedOn) {
  const std::string der = encrypt(pkcs8);
  expect_error(read_server_key(ServerKeyForm::plain, as_bytes(pkcs8), shared()), Errc::server_protocol,
               "has not encrypted the private key");
  expect_error(read_server_key(ServerKeyForm::plain, as_bytes(pkcs8), own(recipient)), Errc::server_protocol,
               "has not encrypted the private key");
  expect_error(read_server_key(ServerKeyForm::enveloped, as_bytes(der), {}), Errc::server_protocol,
               "no decryption key was agreed on");
  expect_error(read_server_key(ServerKeyForm::enveloped, as_bytes(pkcs8), shared()), Errc::answer_malformed,
               "envelope");
  expect_error(read_server_key(ServerKeyForm::plain, as_bytes(der), {}), Errc::answer_malformed, "cannot read");
}

TEST_F(AKeyFromTheServer, StaysClosedForAnotherKey) {
  const std::string other = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
  expect_error(read_enveloped_key(as_bytes(encrypt(pkcs8)), shared(other)), Errc::answer_malformed,
               "not encrypted for");
  expect_error(read_enveloped_key(as_bytes(encrypt(pkcs8)), shared(kek, "0a0b0d")), Errc::answer_malformed,
               "not encrypted for");
  expect_error(read_enveloped_key(as_bytes(encrypt(pkcs8)), own(recipient)), Errc::answer_malformed, "");
  const auto stranger =
      pki.issue({.issuer = "root", .key_usage = "", .extended_key_usage = "", .key = test::TestKey::rsa_2048});
  const std::string for_rsa = encrypt(pkcs8, {"-aes-256-cbc", "-recip", recipient.certificate});
  const std::string for_ec = encrypt(pkcs8, {"-aes-256-cbc", "-recip", agreement.certificate});
  for (const bool with_certificate : {true, false}) {
    expect_error(read_enveloped_key(as_bytes(for_rsa), own(stranger, with_certificate)), Errc::answer_malformed, "");
    expect_error(read_enveloped_key(as_bytes(for_ec), own(recipient, with_certificate)), Errc::answer_malformed, "");
    expect_error(read_enveloped_key(as_bytes(for_rsa), own(agreement, with_certificate)), Errc::answer_malformed, "");
  }
  expect_error(read_enveloped_key(as_bytes(for_rsa), shared()), Errc::answer_malformed, "not encrypted for");
}

TEST_F(AKeyFromTheServer, MustBeUntouched) {
  std::string gcm = encrypt(pkcs8, "-aes-256-gcm");
  gcm.back() = static_cast<char>(gcm.back() ^ 1);  // of the tag
  expect_error(read_enveloped_key(as_bytes(gcm), shared()), Errc::answer_malformed, "cannot be decrypted");
  std::string message = sign(sequence_of(pkcs8), key_package);
  message.back() = static_cast<char>(message.back() ^ 1);  // of the signature
  expect_error(read_enveloped_key(as_bytes(encrypt(message)), shared()), Errc::answer_malformed, "does not hold");
  message = sign(sequence_of(pkcs8), key_package, {"-noattr"});
  expect_key(read_enveloped_key(as_bytes(encrypt(message)), shared()), "without signed attributes");
  message.back() = static_cast<char>(message.back() ^ 1);
  expect_error(read_enveloped_key(as_bytes(encrypt(message)), shared()), Errc::answer_malformed, "does not hold");
  expect_error(read_enveloped_key(as_bytes(encrypt(sign(sequence_of(pkcs8), key_package, {"-nocerts"}))), shared()),
               Errc::answer_malformed, "lacks the certificate");
}

TEST_F(AKeyFromTheServer, MustBeAPair) {
  test::make_key(file("other.pem"), test::TestKey::ec_p256);
  const std::string other = der_of(file("other.pem"));
  std::string mixed = pkcs8.substr(0, pkcs8.size() - 64) + other.substr(other.size() - 64);  // its public point
  expect_error(read_plain_key(as_bytes(mixed)), Errc::answer_malformed, "does not fit");
}

TEST_F(AKeyFromTheServer, IsRefusedIfItIsOfAKindThatDevidDoesNotKnow) {
  for (const std::vector<std::string>& kind : {std::vector<std::string>{"-algorithm", "ed25519"},
                                               {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"},
                                               {"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"}}) {
    std::vector<std::string> argv = {"openssl", "genpkey", "-out", file("odd.pem")};
    argv.insert(argv.end(), kind.begin(), kind.end());
    test::output_of({.argv = argv});
    expect_error(read_plain_key(as_bytes(der_of(file("odd.pem")))), Errc::token_unsupported, "devid does not use");
  }
}

TEST_F(AKeyFromTheServer, IsRefusedAsSomethingElse) {
  const std::string pem = content_of(file("key.pem"));
  const std::string encrypted = test::output_of(
      {.argv = {"openssl", "pkcs8", "-topk8", "-outform", "DER", "-in", file("key.pem"), "-passout", "pass:secret"}});
  std::string deep(2000, '\x30');
  for (std::size_t i = 1; i < deep.size(); i += 2) deep[i] = '\x80';
  for (const auto& bad :
       {std::string(), std::string("garbage"), pem, public_key, encrypted, pkcs8 + '\0', sequence_of(pkcs8, 2),
        sequence_of(""), sequence_of(sequence_of(pkcs8)), deep, std::string(20000, '\x30')}) {
    expect_error(read_plain_key(as_bytes(bad)), Errc::answer_malformed, "");
    expect_error(read_enveloped_key(as_bytes(bad), shared()), Errc::answer_malformed, "");
    expect_error(read_enveloped_key(as_bytes(encrypt(bad)), shared()), Errc::answer_malformed, "");
  }
  expect_error(read_enveloped_key(as_bytes(std::string(70000, '\x30')), shared()), Errc::answer_malformed, "longer");
  expect_error(read_enveloped_key(as_bytes(encrypt(pkcs8) + '\0'), shared()), Errc::answer_malformed, "");
  expect_error(read_enveloped_key(as_bytes(encrypt(encrypt(pkcs8))), shared()), Errc::answer_malformed, "");
  expect_error(read_enveloped_key(as_bytes(encrypt(sign(sign(pkcs8, signed_data), signed_data))), shared()),
               Errc::answer_malformed, "of type");
  expect_error(read_enveloped_key(as_bytes(sign(pkcs8, key_package)), shared()), Errc::answer_malformed,
               "no CMS EnvelopedData");
}

TEST_F(AKeyFromTheServer, NeverCrashesWhenItsEnvelopeIsCutOrDamaged) {
  const std::string der = encrypt(sign(sequence_of(pkcs8), key_package));
  for (std::size_t i = 0; i < der.size(); ++i) {
    EXPECT_FALSE(read_enveloped_key(as_bytes(der.substr(0, i)), shared())) << i;
    std::string damaged = der;
    damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ 0x21U);
    static_cast<void>(read_enveloped_key(as_bytes(damaged), shared()));
  }
  for (std::size_t i = 0; i < pkcs8.size(); ++i) EXPECT_FALSE(read_plain_key(as_bytes(pkcs8.substr(0, i)))) << i;
}

}  // namespace
}  // namespace devid::pki
