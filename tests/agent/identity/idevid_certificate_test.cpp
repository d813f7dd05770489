#include "agent/identity/idevid_certificate.h"

#include <gmock/gmock.h>

#include "tests/agent/identity/idevid_fixture.h"

namespace devid::test {
namespace {

using testing::HasSubstr;

/// What is stored as one, in a token or in a file.
class TheCertificateOfAnIdevid : public ADiscovery {};

struct Content {
  std::string content;
  std::string why;
};

TEST_F(TheCertificateOfAnIdevid, IsRefusedWithTheReasonWhereItIsNone) {
  const PublicKey key = tpm_.put_key("handle:0x81020000", KeyAlgorithm::ec_p256);
  const std::string pem = certificate_for(key);
  const std::string der = pem_to_der(pem);
  const std::string ca = manufacturer().ca("manufacturer").certificate_pem;
  std::string nine = pem;
  for (int i = 0; i < 8; ++i) nine += ca;
  for (const auto& [content, why] : std::vector<Content>{
           {"", "there is none"},
           {"garbage", ""},
           {std::string(600, '\xff'), "there is none"},
           {der + "x", "bytes follow the certificate"},
           {der + std::string(20, '\0') + "x", "bytes follow the certificate"},
           {der + der, "bytes follow the certificate"},
           {der.substr(0, 200), ""},
           {nine, "more than 8 certificates"},
           {ca, "a CA's certificate is no IDevID: CN=manufacturer"},
           {ca + pem, "a CA's certificate is no IDevID"},
           {pem + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "something else in it"}}) {
    tpm_.put_certificate("nv:0x01c90200", to_bytes(as_bytes(content)));
    files_.clear();
    const auto in_token = look();
    EXPECT_EQ(error(in_token).code, Errc::idevid_missing);
    EXPECT_EQ(row(in_token, "nv:0x01c90200").found, "no certificate of an IDevID");
    EXPECT_THAT(row(in_token, "nv:0x01c90200").why, HasSubstr(why)) << content.size();
    tpm_.remove_certificate("nv:0x01c90200");
    files_ = {write("idevid", content)};
    const auto in_file = look();
    EXPECT_EQ(error(in_file).code, Errc::idevid_missing);
    EXPECT_THAT(row(in_file, files_[0].string()).why, HasSubstr(why));
  }
}

TEST_F(TheCertificateOfAnIdevid, MayHaveAChainAndPadding) {
  const PublicKey key = tpm_.put_key("handle:0x81020000", KeyAlgorithm::ec_p256);
  const std::string pem = certificate_for(key);
  std::string eight = pem;
  for (int i = 0; i < 7; ++i) eight += manufacturer().ca("manufacturer").certificate_pem;
  for (const auto& content : {pem_to_der(pem), pem_to_der(pem) + std::string(99, '\0'),
                              pem_to_der(pem) + std::string(99, '\xff'), pem + std::string(9, '\xff'), eight}) {
    tpm_.put_certificate("nv:0x01c90200", to_bytes(as_bytes(content)));
    EXPECT_EQ(place(look()).key, "handle:0x81020000") << content.size();
  }
  EXPECT_EQ(look().idevid->credential.chain.size(), 7U);
}

}  // namespace
}  // namespace devid::test
