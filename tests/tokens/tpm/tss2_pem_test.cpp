#include "tokens/tpm/tss2_pem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <ostream>

namespace devid::tpm {
namespace {

using testing::HasSubstr;

/// DER by hand: one tag, length and content.
Bytes tlv(unsigned tag, const Bytes& content) {
  Bytes out{std::byte(tag)};
  if (content.size() >= 0x80) out.push_back(std::byte{0x81});
  out.push_back(std::byte(content.size()));
  out.insert(out.end(), content.begin(), content.end());
  return out;
}

Bytes join(const std::vector<Bytes>& parts) {
  Bytes out;
  for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

Bytes octets(std::initializer_list<unsigned> values) {
  Bytes out;
  for (const unsigned value : values) out.push_back(std::byte(value));
  return out;
}

/// A TPM2B: the length of the rest in two octets, then the rest.
Bytes sized(std::size_t size, unsigned fill) {
  Bytes out(size + 2, std::byte(fill));
  out[0] = std::byte(size >> 8U);
  out[1] = std::byte(size & 0xFFU);
  return out;
}

const Bytes loadable = octets({0x06, 0x06, 0x67, 0x81, 0x05, 0x0a, 0x01, 0x03});
const Bytes sealed = octets({0x06, 0x06, 0x67, 0x81, 0x05, 0x0a, 0x01, 0x05});
const Bytes empty_auth = octets({0xa0, 0x03, 0x01, 0x01, 0xff});
const Bytes has_auth = octets({0xa0, 0x03, 0x01, 0x01, 0x00});
const Bytes storage_root = octets({0x02, 0x05, 0x00, 0x81, 0x00, 0x00, 0x01});
const Bytes owner = octets({0x02, 0x04, 0x40, 0x00, 0x00, 0x01});
const Bytes negative_root = octets({0x02, 0x04, 0x81, 0x00, 0x00, 0x01});
const Bytes public_area = sized(88, 0x11);
const Bytes private_area = sized(100, 0x22);

const Bytes endorsement = octets({0x02, 0x04, 0x40, 0x00, 0x00, 0x0b});
const Bytes transient = octets({0x02, 0x05, 0x00, 0x80, 0x00, 0x00, 0x00});
const Bytes huge = octets({0x02, 0x06, 0x01, 0x81, 0x00, 0x00, 0x00, 0x01});
const Bytes policy_pcr = octets({0x02, 0x02, 0x01, 0x7f});
const Bytes policy_auth_value = octets({0x02, 0x02, 0x01, 0x6b});

/// One TPMPolicy.
Bytes policy_step(const Bytes& command, const Bytes& body) {
  return tlv(0x30, join({tlv(0xa0, command), tlv(0xa1, tlv(0x04, body))}));
}
Bytes policy_of(const std::vector<Bytes>& steps) { return tlv(0xa1, tlv(0x30, join(steps))); }
const Bytes pcr_statement = octets({1, 2, 3, 4});
const Bytes pcr_step = policy_step(policy_pcr, pcr_statement);

Bytes key_der(const std::vector<Bytes>& fields) { return tlv(0x30, join(fields)); }

std::string pem_of(const Bytes& der, const std::string& name = "TSS2 PRIVATE KEY") {
  std::string base64((der.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(base64.data()), as_uchar(BytesView(der)),
                                   static_cast<int>(der.size()));
  base64.resize(static_cast<std::size_t>(size));
  for (std::size_t at = 64; at < base64.size(); at += 65) base64.insert(at, "\n");
  return "-----BEGIN " + name + "-----\n" + base64 + "\n-----END " + name + "-----\n";
}

const Bytes good = key_der({loadable, empty_auth, storage_root, tlv(0x04, public_area), tlv(0x04, private_area)});

TEST(ATss2Pem, IsWrittenToTheOctetAsOthersReadIt) {
  const auto pem = write_tss2_pem({.public_area = public_area, .private_area = private_area});
  ASSERT_TRUE(pem) << pem.error().sentence();
  EXPECT_EQ(*pem, pem_of(good));
}

TEST(ATss2Pem, ComesBackAsItWas) {
  const auto blob = read_tss2_pem(pem_of(good));
  ASSERT_TRUE(blob) << blob.error().sentence();
  EXPECT_EQ(blob->public_area, public_area);
  EXPECT_EQ(blob->private_area, private_area);
}

Bytes with_policy(const Bytes& policy) {
  return key_der({loadable, empty_auth, policy, storage_root, tlv(0x04, public_area), tlv(0x04, private_area)});
}

TEST(ATss2Pem, SaysThatThereIsAnAuthValueAndOneThatDoesNotSayHasOne) {
  const KeyBlob blob{.public_area = public_area, .private_area = private_area, .has_auth_value = true};
  const Bytes der = key_der({loadable, has_auth, storage_root, tlv(0x04, public_area), tlv(0x04, private_area)});
  EXPECT_EQ(write_tss2_pem(blob).value(), pem_of(der));
  EXPECT_EQ(read_tss2_pem(pem_of(der)).value(), blob);
  const Bytes silent = key_der({loadable, storage_root, tlv(0x04, public_area), tlv(0x04, private_area)});
  EXPECT_EQ(read_tss2_pem(pem_of(silent)).value(), blob);
}

TEST(ATss2Pem, NamesTheOwnerAsTheParentThatIsMadeWhenNeeded) {
  const KeyBlob blob{.public_area = public_area, .private_area = private_area, .parent = 0x40000001};
  const Bytes der = key_der({loadable, empty_auth, owner, tlv(0x04, public_area), tlv(0x04, private_area)});
  EXPECT_EQ(write_tss2_pem(blob).value(), pem_of(der));
  EXPECT_EQ(read_tss2_pem(pem_of(der)).value(), blob);
}

TEST(ATss2Pem, CarriesThePolicyOfTheKey) {
  const KeyBlob blob{.public_area = public_area, .private_area = private_area, .pcr_policy = pcr_statement};
  const std::string pem = pem_of(with_policy(policy_of({pcr_step})));
  EXPECT_EQ(write_tss2_pem(blob).value(), pem);
  EXPECT_EQ(read_tss2_pem(pem).value(), blob);
}

TEST(ATss2Pem, MayEndInBlankLines) { EXPECT_TRUE(read_tss2_pem(pem_of(good) + "\r\n \n")); }

struct Bad {
  const char* name;
  std::string pem;
  const char* reason;

  friend std::ostream& operator<<(std::ostream& out, const Bad& bad) { return out << bad.name; }
};

Bytes with_trailing_octet() {
  Bytes der = good;
  der.push_back(std::byte{0});
  return der;
}

Bytes with_long_length() {  // BER: the same length in three octets
  Bytes der = good;
  der.insert(der.begin() + 1, {std::byte{0x82}, std::byte{0x00}});
  der.erase(der.begin() + 3);
  return der;
}

Bytes fields(const Bytes& type, const Bytes& auth, const Bytes& parent, const Bytes& area, const Bytes& secret) {
  return key_der({type, auth, parent, tlv(0x04, area), tlv(0x04, secret)});
}

Bytes cut(Bytes bytes) {
  bytes.pop_back();
  return bytes;
}

class ABadTss2Pem : public testing::TestWithParam<Bad> {};

TEST_P(ABadTss2Pem, IsRefusedWithItsReason) {
  const auto blob = read_tss2_pem(GetParam().pem);
  ASSERT_FALSE(blob);
  EXPECT_EQ(blob.error().code, Errc::token_wrong_key);
  EXPECT_THAT(blob.error().reason, HasSubstr(GetParam().reason));
}

INSTANTIATE_TEST_SUITE_P(
    Form, ABadTss2Pem,
    testing::Values(
        Bad{"Empty", "", "does not begin"}, Bad{"TextBefore", "key:\n" + pem_of(good), "does not begin"},
        Bad{"TextAfter", pem_of(good) + "more", "after its end"}, Bad{"Two", pem_of(good) + pem_of(good), "after its"},
        Bad{"OtherName", pem_of(good, "PRIVATE KEY"), "does not begin"},
        Bad{"NoEnd", pem_of(good).substr(0, 200), "end line"},
        Bad{"NotBase64", "-----BEGIN TSS2 PRIVATE KEY-----\n????\n-----END TSS2 PRIVATE KEY-----\n", "decode"},
        Bad{"Headers", "-----BEGIN TSS2 PRIVATE KEY-----\nProc-Type: 4\n\nMAA=\n-----END TSS2 PRIVATE KEY-----\n",
            "headers"},
        Bad{"Long", "-----BEGIN TSS2 PRIVATE KEY-----\n" + std::string(20'000, 'A'), "too long"},
        Bad{"NotAsn1", pem_of(octets({1, 2, 3})), ""}, Bad{"TrailingOctet", pem_of(with_trailing_octet()), "after its"},
        Bad{"BerLength", pem_of(with_long_length()), "not DER"},
        Bad{"Sealed", pem_of(fields(sealed, empty_auth, storage_root, public_area, private_area)), "not a loadable"},
        Bad{"EndorsementAsParent", pem_of(fields(loadable, empty_auth, endorsement, public_area, private_area)),
            "parent"},
        Bad{"TransientParent", pem_of(fields(loadable, empty_auth, transient, public_area, private_area)), "parent"},
        Bad{"HugeParent", pem_of(fields(loadable, empty_auth, huge, public_area, private_area)), "parent"},
        Bad{"OtherPolicy", pem_of(with_policy(policy_of({policy_step(policy_auth_value, {})}))), "policy"},
        Bad{"LongPolicy", pem_of(with_policy(policy_of({pcr_step, pcr_step}))), "policy"},
        Bad{"EmptyPolicy", pem_of(with_policy(policy_of({}))), "policy"},
        Bad{"BadPolicy", pem_of(with_policy(tlv(0xa1, octets({1, 2, 3})))), ""},
        Bad{"NegativeParent", pem_of(fields(loadable, empty_auth, negative_root, public_area, private_area)), "parent"},
        Bad{"ShortPublic", pem_of(fields(loadable, empty_auth, storage_root, cut(public_area), private_area)),
            "public area"},
        Bad{"ShortPrivate", pem_of(fields(loadable, empty_auth, storage_root, public_area, cut(private_area))),
            "private area"},
        Bad{"EmptyPrivate", pem_of(fields(loadable, empty_auth, storage_root, public_area, {})), "private area"},
        Bad{"ExtraField",
            pem_of(key_der({loadable, empty_auth, storage_root, tlv(0x04, public_area), tlv(0x04, private_area),
                            tlv(0x04, {})})),
            ""}),
    [](const auto& param) { return std::string(param.param.name); });

}  // namespace
}  // namespace devid::tpm
