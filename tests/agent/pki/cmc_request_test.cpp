#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/pki/cmc.h"
#include "agent/pki/csr.h"
#include "tests/support/certificate_of.h"
#include "tests/support/command.h"
#include "tests/support/fake_token.h"
#include "tests/support/test_pki.h"

namespace devid::pki {
namespace {

using test::certificate_of;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

std::string hex(BytesView bytes) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string text;
  for (const std::byte byte : bytes)
    text.append({digits[std::to_integer<unsigned>(byte) >> 4U], digits[std::to_integer<unsigned>(byte) & 15U]});
  return text;
}

/// The value of a result, or the end of the test.
template <class T>
T need(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().sentence());
  return std::move(*result);
}

/// A device with a certificate below the intermediate CA, and a key in a token in memory.
class Device {
 public:
  Device(test::TestPki& pki, KeyAlgorithm algorithm, const std::string& issuer = "issuing")
      : key_(need(token_.create_key({.algorithm = algorithm, .label = "test"}))),
        signing(need(SigningKey::wrap(*key_))),
        certificate(certificate_of(
            pki.issue({.issuer = issuer, .public_key = test::public_key_pem(std::string(as_text(spki())))})
                .certificate_pem)) {}

  [[nodiscard]] const Bytes& spki() const { return key_->public_key().spki; }

  test::FakeHardware hardware;

 private:
  test::FakeToken token_{hardware};
  std::unique_ptr<PrivateKey> key_;

 public:
  std::unique_ptr<SigningKey> signing;
  Certificate certificate;
};

class AFullPkiRequest : public testing::Test {
 protected:
  AFullPkiRequest() {
    pki.make_ca("root");
    pki.make_ca("issuing", "root");
    chain = {certificate_of(pki.ca("issuing").certificate_pem)};
  }

  Result<CmcRequest> request_of(Device& device, SigningKey& signer) {
    const auto csr = make_csr(*device.signing, {.names = {.subject = {{.type = "CN", .value = "gateway"}}}});
    return make_cmc_request(*csr, {.certificate = device.certificate, .chain = chain, .key = signer});
  }

  test::TestPki pki;
  std::vector<Certificate> chain;
};

TEST_F(AFullPkiRequest, IsSignedDataThatOpensslVerifiesUpToTheRoot) {
  for (const auto algorithm :
       {KeyAlgorithm::ec_p256, KeyAlgorithm::ec_p384, KeyAlgorithm::ec_p521, KeyAlgorithm::rsa_2048}) {
    Device device(pki, algorithm);
    const auto request = request_of(device, *device.signing);
    ASSERT_TRUE(request) << request.error().sentence();
    const auto verified = test::run(
        {.argv = {"openssl", "cms", "-verify", "-inform", "DER", "-CAfile", pki.ca("root").certificate, "-purpose",
                  "any", "-out", pki.directory() / "data.der", "-certsout", pki.directory() / "certificates.pem"},
         .input = std::string(as_text(request->der))});
    EXPECT_TRUE(verified.ok()) << verified.errors;
    const std::string parsed = test::output_of({.argv = {"openssl", "cms", "-cmsout", "-print", "-inform", "DER"},
                                                .input = std::string(as_text(request->der))});
    EXPECT_THAT(parsed, AllOf(HasSubstr("eContentType: id-cct-PKIData"), HasSubstr("messageDigest"),
                              ContainsRegex("signedData: *\n *version: 3"), Not(HasSubstr("signingTime"))))
        << "a device's clock may be wrong";
    const std::string certificates = test::output_of({.argv = {"cat", pki.directory() / "certificates.pem"}});
    EXPECT_EQ(read_certificates(as_bytes(certificates))->size(), 2U);
  }
}

TEST_F(AFullPkiRequest, HoldsTheRequestTheTransactionAndTheNonce) {
  Device device(pki, KeyAlgorithm::ec_p256);
  const auto csr = make_csr(*device.signing, {.names = {.subject = {{.type = "CN", .value = "gateway"}}}});
  const auto request =
      make_cmc_request(*csr, {.certificate = device.certificate, .chain = chain, .key = *device.signing});
  ASSERT_TRUE(request) << request.error().sentence();
  EXPECT_EQ(request->nonce.size(), 16U);
  const std::string data = test::output_of({.argv = {"openssl", "cms", "-verify", "-noverify", "-inform", "DER"},
                                            .input = std::string(as_text(request->der))});
  EXPECT_THAT(data, HasSubstr(as_text(*csr)));
  const std::string parsed = test::output_of({.argv = {"openssl", "asn1parse", "-inform", "DER"}, .input = data});
  EXPECT_THAT(parsed, AllOf(HasSubstr("id-cmc-transactionId"), HasSubstr("id-cmc-senderNonce"),
                            HasSubstr("[HEX DUMP]:" + hex(request->nonce)), HasSubstr("cont [ 0 ]")));
  const auto number = test::output_of(
      {.argv = {"sh", "-c", "openssl asn1parse -inform DER | sed -n 's/.*INTEGER *://p' | sed -n 2p"}, .input = data});
  EXPECT_EQ(std::stoull(number, nullptr, 16), std::stoull(request->transaction));
}

TEST_F(AFullPkiRequest, IsNeverTheSameTwiceAndCostsOneSignature) {
  Device device(pki, KeyAlgorithm::ec_p256);
  const auto one = request_of(device, *device.signing);
  const auto before = device.hardware.count(test::Operation::sign);
  const auto other = request_of(device, *device.signing);
  ASSERT_TRUE(one && other);
  EXPECT_NE(one->nonce, other->nonce);
  EXPECT_NE(one->transaction, other->transaction);
  EXPECT_EQ(device.hardware.count(test::Operation::sign) - before, 2U);  // one of them for the PKCS#10 request
}

TEST_F(AFullPkiRequest, SaysWhatTheTokenSaidWhenItCannotSign) {
  Device device(pki, KeyAlgorithm::ec_p256);
  const auto csr = make_csr(*device.signing, {.names = {.subject = {{.type = "CN", .value = "gateway"}}}});
  device.hardware.fail_all({.code = Errc::token_locked_out, .retry = Retry::later, .what = "locked", .hint = "wait"});
  const auto request =
      make_cmc_request(*csr, {.certificate = device.certificate, .chain = chain, .key = *device.signing});
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error().code, Errc::token_locked_out);
  EXPECT_EQ(request.error().what, "cannot sign the Full PKI Request: locked");
  EXPECT_EQ(request.error().hint, "wait");
}

TEST_F(AFullPkiRequest, IsNotSentIfTheKeyIsNotThatOfTheCertificate) {
  Device device(pki, KeyAlgorithm::ec_p256);
  Device other(pki, KeyAlgorithm::ec_p256);
  const auto request = request_of(device, *other.signing);
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error().code, Errc::token_wrong_key);
}

TEST_F(AFullPkiRequest, IsNotMadeOfSomethingElse) {
  Device device(pki, KeyAlgorithm::ec_p256);
  const CmcSigner signer{.certificate = device.certificate, .chain = chain, .key = *device.signing};
  const auto csr = make_csr(*device.signing, {.names = {.subject = {{.type = "CN", .value = "gateway"}}}});
  Bytes longer = *csr;
  longer.push_back(std::byte{0});
  for (const BytesView bad : {as_bytes(""), as_bytes("garbage"), BytesView(longer), BytesView(*csr).first(40)}) {
    const auto request = make_cmc_request(bad, signer);
    ASSERT_FALSE(request);
    EXPECT_EQ(request.error().code, Errc::usage);
  }
}

}  // namespace
}  // namespace devid::pki
