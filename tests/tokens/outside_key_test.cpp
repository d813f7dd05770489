#include "tokens/outside_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>

#include <fstream>
#include <memory>

#include "base/owned.h"
#include "tests/support/copies_in_memory.h"
#include "tests/support/temporary_directory.h"
#include "tests/tokens/outside_keys.h"

namespace devid::test {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string hex(std::string_view octets) {
  std::string digits;
  for (const char octet : octets) {
    constexpr std::string_view all = "0123456789abcdef";
    digits += all[static_cast<unsigned char>(octet) >> 4U];
    digits += all[static_cast<unsigned char>(octet) & 0xFU];
  }
  return digits;
}

/// Of hexadecimal numbers.
std::string sum(const std::string& one, const std::string& other) {
  using Number = Owned<BIGNUM, BN_free>;
  const auto number = [](const std::string& digits) {
    BIGNUM* made = nullptr;
    BN_hex2bn(&made, digits.c_str());
    return Number(made);
  };
  const Number total(BN_new());
  BN_add(total.get(), number(one).get(), number(other).get());
  const std::unique_ptr<char, decltype([](char* text) { OPENSSL_free(text); })> digits(BN_bn2hex(total.get()));
  return digits.get();
}

/// DER from a configuration of `openssl asn1parse -genconf`.
std::string der_of(const std::string& configuration) {
  const TemporaryDirectory directory;
  const std::string path = (directory.path() / "asn1").string();
  std::ofstream(path) << configuration;
  return shell("openssl asn1parse -noout -genconf " + path + " -out " + path + ".der && cat " + path + ".der");
}

/// A key file whose parts are as they should be, or not.
struct EcFile {
  std::string version = "0";
  std::string inner_version = "1";
  std::string algorithm = "id-ecPublicKey";
  std::string curve = "OID:prime256v1";
  std::string scalar;       ///< octets
  std::string inner_curve;  ///< "OID:…"; empty: none
  std::string point;        ///< octets, in the ECPrivateKey; empty: none
  std::string outer_point;  ///< octets, in the OneAsymmetricKey; empty: none
  std::string more;         ///< what else is in the PrivateKeyInfo
};

std::string write(const EcFile& file) {
  std::string text = "asn1=SEQUENCE:info\n[info]\nversion=INTEGER:" + file.version +
                     "\nalgorithm=SEQUENCE:algorithm\n" + "key=OCTWRAP,SEQUENCE:key\n";
  if (!file.outer_point.empty()) text += "point=IMPLICIT:1,FORMAT:HEX,BITSTRING:" + hex(file.outer_point) + "\n";
  text += file.more + "\n[algorithm]\ntype=OID:" + file.algorithm + "\ncurve=" + file.curve +
          "\n[key]\nversion=INTEGER:" + file.inner_version + "\nscalar=FORMAT:HEX,OCTETSTRING:" + hex(file.scalar) +
          "\n";
  if (!file.inner_curve.empty()) text += "curve=EXPLICIT:0," + file.inner_curve + "\n";
  if (!file.point.empty()) text += "point=EXPLICIT:1,FORMAT:HEX,BITSTRING:" + hex(file.point) + "\n";
  return der_of(text + "[attributes]\nfriendlyName=SEQUENCE:name\n[name]\ntype=OID:friendlyName\n" +
                "values=SET:values\n[values]\nvalue=UTF8:gateway\n");
}

/// All that must not be left anywhere.
std::vector<const Secret*> secrets_of(const OutsideKey& key) {
  if (const auto* ec = std::get_if<EcNumbers>(&key.numbers)) return {&ec->scalar};
  const auto& rsa = std::get<RsaNumbers>(key.numbers);
  return {&rsa.private_exponent, &rsa.prime_1, &rsa.prime_2, &rsa.exponent_1, &rsa.exponent_2, &rsa.coefficient};
}

class AnEcKeyFile : public testing::Test {
 protected:
  /// One with these parts is refused, and says why.
  static void expect_refused(const EcFile& file, const std::string& reason) {
    const auto key = read_outside_key(KeyAlgorithm::ec_p256, secret(write(file)));
    ASSERT_FALSE(key) << reason;
    EXPECT_EQ(key.error().code, Errc::usage);
    EXPECT_THAT(key.error().reason, HasSubstr(reason));
  }
  void expect_taken(const EcFile& file) const {
    const auto key = read_outside_key(KeyAlgorithm::ec_p256, secret(write(file)));
    ASSERT_TRUE(key) << key.error().sentence();
    EXPECT_EQ(key->public_key.spki, spki_);
    EXPECT_EQ(as_text(std::get<EcNumbers>(key->numbers).scalar.reveal()), scalar_);
    // What is handed on is a key that openssl reads, too.
    const std::string plain(as_text(key->private_key_info.reveal()));
    EXPECT_EQ(number_of(plain, "priv"), scalar_);
    EXPECT_THAT(plain, Not(HasSubstr("gateway")));
  }
  [[nodiscard]] EcFile good() const { return {.scalar = scalar_}; }

  std::string pkcs8_ = made_outside(KeyAlgorithm::ec_p256);
  std::string scalar_ = number_of(pkcs8_, "priv");
  std::string point_ = number_of(pkcs8_, "pub");
  std::string other_point_ = number_of(made_outside(KeyAlgorithm::ec_p256), "pub");
  Bytes spki_ = public_key_outside(pkcs8_);
};

TEST_F(AnEcKeyFile, IsTakenInEveryFormThatTheStandardsKnow) {
  ASSERT_EQ(scalar_.size(), 32U);
  ASSERT_EQ(point_.size(), 65U);
  EcFile file = good();
  expect_taken(file);
  file.point = point_;
  expect_taken(file);
  file.inner_curve = "OID:prime256v1";
  expect_taken(file);
  file.version = "1";
  file.outer_point = point_;
  expect_taken(file);
  file.point = static_cast<char>(0x02 + (static_cast<unsigned char>(point_.back()) & 1U)) + point_.substr(1, 32);
  expect_taken(file);
  file = good();
  file.more = "attributes=IMPLICIT:0,SET:attributes";
  expect_taken(file);
}

TEST_F(AnEcKeyFile, IsRefusedIfItsPartsDoNotFitEachOther) {
  const auto with = [this](auto change) {
    EcFile file = good();
    change(file);
    return file;
  };
  expect_refused(with([&](EcFile& it) { it.point = other_point_; }), "public key");
  expect_refused(with([&](EcFile& it) { it.outer_point = other_point_; }), "public key");
  expect_refused(with([&](EcFile& it) { it.point = "\x04"; }), "public key");
  expect_refused(with([](EcFile& it) { it.inner_version = "2"; }), "version");
  expect_refused(with([](EcFile& it) { it.inner_curve = "OID:secp384r1"; }), "curve");
  expect_refused(with([](EcFile& it) { it.curve = "OID:secp256k1"; }), "algorithm");
  expect_refused(with([](EcFile& it) { it.curve = "NULL"; }), "algorithm");
  expect_refused(with([](EcFile& it) { it.algorithm = "rsaEncryption"; }), "algorithm");
  expect_refused(with([](EcFile& it) { it.more = "more=INTEGER:1"; }), "PrivateKeyInfo");
}

TEST_F(AnEcKeyFile, IsRefusedIfItsScalarIsNone) {
  const std::string order = "\xff\xff\xff\xff" + std::string(4, '\0') + std::string(8, '\xff') +
                            "\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
  ASSERT_EQ(order.size(), 32U);
  expect_refused({.scalar = order}, "order");
  expect_refused({.scalar = std::string(32, '\xff')}, "order");
  expect_refused({.scalar = std::string(32, '\0')}, "order");
  expect_refused({.scalar = '\0' + scalar_}, "too long");
}

TEST_F(AnEcKeyFile, OfAScalarWithoutItsZerosInFrontIsTakenInFull) {
  const auto key = read_outside_key(KeyAlgorithm::ec_p256, secret(write({.scalar = "\x05"})));
  ASSERT_TRUE(key) << key.error().sentence();
  EXPECT_EQ(as_text(std::get<EcNumbers>(key->numbers).scalar.reveal()), std::string(31, '\0') + "\x05");
}

TEST(AKeyFile, OfAnotherKindIsRefused) {
  const TemporaryDirectory directory;
  const std::string ec = made_outside(KeyAlgorithm::ec_p256);
  const std::string encrypted = shell("openssl pkcs8 -inform DER -topk8 -passout pass:secret -outform DER", ec);
  const std::vector<std::string> others{
      made_outside("-algorithm ED25519"),
      made_outside("-algorithm X25519"),
      made_outside("-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048"),
      made_outside("-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1"),
      made_outside("-algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit"),
      made_outside("-algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_primes:3"),
      made_outside("-algorithm RSA -pkeyopt rsa_keygen_bits:1024"),
      encrypted,
      shell("openssl ec -inform DER -outform DER 2>/dev/null", ec),  // an ECPrivateKey without what is around it
      std::string(as_text(public_key_outside(ec))),
      std::string(20'000, '\x30'),
  };
  for (const std::string& other : others) {
    ASSERT_FALSE(other.empty());
    for (const KeyAlgorithm algorithm : {KeyAlgorithm::ec_p256, KeyAlgorithm::rsa_2048}) {
      const auto key = read_outside_key(algorithm, secret(other));
      ASSERT_FALSE(key) << hex(other);
      EXPECT_EQ(key.error().code, Errc::usage) << key.error().sentence();
    }
  }
}

TEST(AKeyFile, ThatIsCutAnywhereIsRefused) {
  for (const KeyAlgorithm algorithm : {KeyAlgorithm::ec_p384, KeyAlgorithm::rsa_2048}) {
    const std::string whole = made_outside(algorithm);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const auto key = read_outside_key(algorithm, secret(whole.substr(0, size)));
      ASSERT_FALSE(key) << size;
      EXPECT_EQ(key.error().code, Errc::usage) << size;
    }
    EXPECT_TRUE(read_outside_key(algorithm, secret(whole)));
  }
}

TEST(AnRsaKeyFile, WithAnyOfItsNumbersChangedIsRefused) {
  const std::string pkcs8 = made_outside(KeyAlgorithm::rsa_2048);
  const auto key = read_outside_key(KeyAlgorithm::rsa_2048, secret(pkcs8));
  ASSERT_TRUE(key) << key.error().sentence();
  EXPECT_EQ(key->public_key.spki, public_key_outside(pkcs8));
  for (const char* name : {"modulus", "privateExponent", "prime1", "prime2", "exponent1", "exponent2", "coefficient"}) {
    std::string number = number_of(pkcs8, name);
    const auto at = pkcs8.find(number);
    ASSERT_NE(at, std::string::npos) << name;
    std::string changed = pkcs8;
    changed[at + number.size() - 3] = static_cast<char>(changed[at + number.size() - 3] ^ 0x10);
    const auto refused = read_outside_key(KeyAlgorithm::rsa_2048, secret(changed));
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().code, Errc::usage) << name;
  }
}

TEST(AnRsaKeyFile, WithALargerCoefficientThatIsTheSameModuloThePrimeIsRefused) {
  const std::string pkcs8 = made_outside(KeyAlgorithm::rsa_2048);
  const auto with_coefficient = [&](const std::string& coefficient) {
    std::string text =
        "asn1=SEQUENCE:info\n[info]\nversion=INTEGER:0\nalgorithm=SEQUENCE:algorithm\nkey=OCTWRAP,SEQUENCE:key\n"
        "[algorithm]\ntype=OID:rsaEncryption\nparameters=NULL\n[key]\nversion=INTEGER:0\n";
    for (const char* name :
         {"modulus", "publicExponent", "privateExponent", "prime1", "prime2", "exponent1", "exponent2"}) {
      const std::string digits = name == std::string_view("publicExponent") ? "10001" : hex(number_of(pkcs8, name));
      text.append(name).append("=INTEGER:0x").append(digits).append("\n");
    }
    return read_outside_key(KeyAlgorithm::rsa_2048, secret(der_of(text + "coefficient=INTEGER:0x" + coefficient)));
  };
  const std::string coefficient = hex(number_of(pkcs8, "coefficient"));
  EXPECT_TRUE(with_coefficient(coefficient));
  const auto refused = with_coefficient(sum(coefficient, hex(number_of(pkcs8, "prime1"))));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().reason, HasSubstr("its numbers do not fit each other"));
}

TEST(AKeyFile, IsReadWithoutLeavingACopyOfWhatIsSecret) {
  const TemporaryDirectory directory;
  const std::string path = (directory.path() / "key.der").string();
  for (const KeyAlgorithm algorithm : {KeyAlgorithm::ec_p256, KeyAlgorithm::ec_p384, KeyAlgorithm::rsa_2048}) {
    shell("openssl genpkey -quiet " + genpkey_options(algorithm) +
          " | openssl pkcs8 -topk8 -nocrypt -outform DER -out " + path);
    const Secret pkcs8 = read_without_traces(path);
    std::vector<std::string> traces;
    {
      const auto key = read_outside_key(algorithm, pkcs8);
      ASSERT_TRUE(key) << key.error().sentence();
      for (const Secret* number : secrets_of(*key)) traces.push_back(trace_of(number->reveal()));
      for (const auto& trace : traces) EXPECT_GT(copies_in_memory(trace), 1U) << "the search finds what is there";
    }
    for (const auto& trace : traces) EXPECT_EQ(copies_in_memory(trace), 1U) << "that of the caller";
  }
}

}  // namespace
}  // namespace devid::test
