#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "agent/est/body.h"
#include "agent/est/cmc_answer.h"
#include "agent/est/server_keygen_answer.h"
#include "agent/pki/decryption.h"
#include "tests/agent/est/device.h"
#include "tests/support/command.h"
#include "tests/support/est_service.h"

namespace devid::est::test {
namespace {

using devid::test::CmcOutcome;
using devid::test::EstService;
using devid::test::Misbehaviour;
using testing::Contains;
using testing::HasSubstr;

/// What the EST server for tests, which knows nothing of devid's own code, makes of devid's requests, and devid of its
/// answers; without the wire.
class AServerOnItsOwn : public testing::Test {
 protected:
  AServerOnItsOwn() {
    spec.keygen_recipients = {
        {.identifier = bytes("shared"), .secret = Bytes(32, std::byte{7}), .certificate = {}},
        {.identifier = bytes("rsa"), .secret = {}, .certificate = rsa().certificate},
        {.identifier = bytes("ec"), .secret = {}, .certificate = ec().certificate},
    };
  }

  static Bytes bytes(std::string_view text) { return to_bytes(as_bytes(text)); }
  static const devid::test::TestCredential& rsa() {
    static const auto made =
        Cas::instance().pki.issue({.issuer = "operator", .key_usage = "", .key = devid::test::TestKey::rsa_2048});
    return made;
  }
  static const devid::test::TestCredential& ec() {
    static const auto made = Cas::instance().pki.issue({.issuer = "operator", .key_usage = ""});
    return made;
  }

  /// A PKCS#10 request with these attributes, by OpenSSL.
  static Bytes request_with(const std::vector<pki::RequestAttribute>& attributes, const std::string& key = "ec") {
    const devid::test::Request request(X509_REQ_new());
    const Pkey pkey(key == "ec" ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048));
    X509_REQ_set_pubkey(request.get(), pkey.get());
    for (const auto& attribute : attributes)
      for (const Bytes& value : attribute.values) {
        const unsigned char* at = as_uchar(BytesView(value));
        const Owned<ASN1_TYPE, ASN1_TYPE_free> any(d2i_ASN1_TYPE(nullptr, &at, static_cast<long>(value.size())));
        EXPECT_EQ(X509_REQ_add1_attr_by_txt(request.get(), attribute.oid.c_str(), any->type,
                                            any->value.asn1_string->data, any->value.asn1_string->length),
                  1);
      }
    EXPECT_GT(X509_REQ_sign(request.get(), pkey.get(), EVP_sha256()), 0);
    unsigned char* der = nullptr;
    const int size = i2d_X509_REQ(request.get(), &der);
    Bytes made = to_bytes(der, static_cast<std::size_t>(size));
    OPENSSL_free(der);
    return made;
  }

  Answer ask(const std::string& operation, std::string_view type, BytesView content, const Misbehaviour& plan = {}) {
    EstService service(spec);
    const std::string body = encode_body(content);
    const devid::test::SeenRequest request{.method = "POST",
                                           .target = "/.well-known/est/" + operation,
                                           .headers = {{"content-length", std::to_string(body.size())},
                                                       {"content-type", std::string(type)},
                                                       {"content-transfer-encoding", "base64"}},
                                           .body = body};
    const auto reply = service.answer(request, {.certificate = device->certificate.get()}, plan);
    issued = service.issued();
    return {.status = reply.status,
            .headers = {{"content-type", reply.media_type}},
            .body = WipedText(reply.content.empty() ? reply.text : devid::test::to_base64(reply.content))};
  }

  devid::test::EstServerSpec spec = server_spec();
  std::unique_ptr<Device> device = std::make_unique<Device>();
  std::vector<std::string> issued;
};

TEST_F(AServerOnItsOwn, MakesKeysThatFitTheirCertificates) {
  std::vector<pki::DecryptionKey> agreed(1);
  agreed.emplace_back(
      pki::SymmetricDecryptionKey{.identifier = bytes("shared"), .key = Secret(Bytes(32, std::byte{7}))});
  for (const auto& [name, credential] : {std::pair("rsa", rsa()), std::pair("ec", ec())})
    agreed.emplace_back(pki::AsymmetricDecryptionKey{
        .identifier = bytes(name),
        .certificate = certificates(credential.certificate_pem).at(0),
        .pkcs8 = Secret(as_bytes(devid::test::output_of({.argv = {"cat", credential.key}})))});
  for (const auto& decryption : agreed) {
    const Bytes csr = request_with(need(pki::decryption_attributes(decryption)));
    auto generated = need(read_server_keygen(ask("serverkeygen", "application/pkcs10", csr)));
    const auto key = need(pki::read_server_key(generated.form, generated.key.reveal(), decryption));
    ASSERT_EQ(generated.certificates.size(), 1U);
    EXPECT_EQ(key.public_key, need(generated.certificates.at(0).public_key()));
    EXPECT_EQ(generated.certificates.at(0), certificates(issued.at(0)).at(0));
  }
}

TEST_F(AServerOnItsOwn, MakesRsaKeysToo) {
  auto generated = need(read_server_keygen(ask("serverkeygen", "application/pkcs10", request_with({}, "rsa"))));
  const auto key = need(pki::read_server_key(generated.form, generated.key.reveal(), {}));
  EXPECT_EQ(key.public_key.algorithm, KeyAlgorithm::rsa_2048);
  EXPECT_EQ(key.public_key, need(generated.certificates.at(0).public_key()));
}

TEST_F(AServerOnItsOwn, RefusesADecryptionKeyThatItDoesNotKnow) {
  const pki::DecryptionKey unknown =
      pki::SymmetricDecryptionKey{.identifier = bytes("unknown"), .key = Secret(Bytes(32))};
  const auto read = read_server_keygen(
      ask("serverkeygen", "application/pkcs10", request_with(need(pki::decryption_attributes(unknown)))));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Errc::server_refused);
  EXPECT_THAT(read.error().reason, HasSubstr("decryption key is not known"));
}

class AFullPkiExchange : public AServerOnItsOwn {
 protected:
  Result<pki::CmcAnswer> exchange(const Misbehaviour& plan = {}) {
    request = need(pki::make_cmc_request(
        csr, {.certificate = device->certificate, .chain = {}, .key = device->key.signing_key()}));
    return read(ask("fullcmc", cmc_request_type, request.der, plan));
  }
  Result<pki::CmcAnswer> read(const Answer& answer) const {
    return read_full_cmc(answer, request, certificates(Cas::instance().pki.ca("operator").certificate_pem),
                         SystemClock().now());
  }

  Key new_key{KeyAlgorithm::ec_p256};
  Bytes csr = request_of(new_key.signing_key());
  pki::CmcRequest request;
};

TEST_F(AFullPkiExchange, GetsACertificateForTheNewKey) {
  const auto answer = exchange();
  ASSERT_TRUE(answer) << answer.error().sentence();
  const auto& given = std::get<pki::CmcIssued>(*answer).certificates;
  EXPECT_THAT(given, Contains(certificates(issued.at(0)).at(0)));
  EXPECT_EQ(need(certificates(issued.at(0)).at(0).public_key()), new_key.signing_key().public_key());
}

TEST_F(AFullPkiExchange, WorksWithAnRsaKeyToo) {
  device = std::make_unique<Device>(KeyAlgorithm::rsa_2048);
  const auto answer = exchange();
  EXPECT_TRUE(answer) << answer.error().sentence();
}

TEST_F(AFullPkiExchange, SaysWhyTheCaRefuses) {
  const auto answer = exchange({.cmc = CmcOutcome::failed});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::server_refused);
  EXPECT_EQ(answer.error().reason, "failed, badIdentity: this device is not known");
}

TEST_F(AFullPkiExchange, WaitsWhenTheCaNeedsTime) {
  const auto answer = exchange({.cmc = CmcOutcome::pending});
  ASSERT_TRUE(answer) << answer.error().sentence();
  const auto& pending = std::get<pki::CmcPending>(*answer);
  EXPECT_NEAR(static_cast<double>(pending.retry_after.count()), 3600, 60);
  EXPECT_EQ(pending.text, "somebody has to look at it");
}

TEST_F(AFullPkiExchange, WaitsAsHttpSaysWhereTheCaDoesNotSayHowLong) {
  ASSERT_TRUE(exchange());
  const auto with = [&](CmcOutcome outcome, long status, const std::string& retry_after) {
    Answer answer = ask("fullcmc", cmc_request_type, request.der, {.cmc = outcome});
    answer.status = status;
    if (!retry_after.empty()) answer.headers["retry-after"] = retry_after;
    return read(answer);
  };
  const auto expect_waits = [](const Result<pki::CmcAnswer>& answer, Seconds time, const std::string& text) {
    ASSERT_TRUE(answer) << answer.error().sentence();
    ASSERT_TRUE(std::holds_alternative<pki::CmcPending>(*answer));
    const auto& pending = std::get<pki::CmcPending>(*answer);
    EXPECT_NEAR(static_cast<double>(pending.retry_after.count()), static_cast<double>(time.count()), 60);
    EXPECT_EQ(pending.text, text);
  };
  for (const long status : {200, 202}) {
    expect_waits(with(CmcOutcome::pending_without_time, status, ""), Seconds(0), "nobody knows how long it takes");
    expect_waits(with(CmcOutcome::pending_without_time, status, "900"), Seconds(900), "nobody knows how long it takes");
    expect_waits(with(CmcOutcome::pending, status, "900"), Seconds(3600), "somebody has to look at it");
    EXPECT_EQ(with(CmcOutcome::failed, status, "900").error().code, Errc::server_refused);
  }
  expect_waits(with(CmcOutcome::issued, 202, "900"), Seconds(900), "");
}

TEST_F(AFullPkiExchange, IsRefusedForASignerOfAnotherManufacturer) {
  device = std::make_unique<Device>(KeyAlgorithm::ec_p256, "stranger");
  const auto answer = exchange();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::server_unauthorized);
}

TEST_F(AFullPkiExchange, NeverTakesAnErrorForASuccess) {
  ASSERT_TRUE(exchange());
  Answer answer = ask("fullcmc", cmc_request_type, request.der);
  ASSERT_TRUE(read(answer));
  answer.status = 400;
  EXPECT_EQ(read(answer).error().code, Errc::server_refused);
  EXPECT_THAT(read(answer).error().reason, HasSubstr("says that all is well"));
  answer.status = 503;
  EXPECT_EQ(read(answer).error().code, Errc::server_unavailable);
}

TEST_F(AFullPkiExchange, IsReadByStatusAndMediaType) {
  ASSERT_TRUE(exchange());
  Answer answer = ask("fullcmc", cmc_request_type, request.der);
  const auto with = [&](long status, const std::string& type, std::string_view body) {
    return read(
        {.status = status, .headers = {{"content-type", type}, {"retry-after", "90"}}, .body = WipedText(body)});
  };
  EXPECT_TRUE(with(200, "application/pkcs7-mime", answer.body));
  EXPECT_EQ(with(200, "text/html", answer.body).error().code, Errc::server_protocol);
  EXPECT_EQ(with(200, "", answer.body).error().code, Errc::server_protocol);
  EXPECT_EQ(with(200, "application/pkcs7-mime; smime-type=server-generated-key", answer.body).error().code,
            Errc::server_protocol);
  EXPECT_EQ(with(200, "application/pkcs7-mime", "<html>").error().code, Errc::answer_malformed);
  EXPECT_EQ(with(400, "text/plain", "no").error().reason, "no");
  EXPECT_EQ(with(400, "application/pkcs7-mime", "<html>").error().code, Errc::server_refused);
  EXPECT_EQ(with(400, "application/pkcs7-mime", "").error().code, Errc::server_refused);
  EXPECT_EQ(with(401, "application/pkcs7-mime", "").error().code, Errc::server_unauthorized);
  const auto waits = with(202, "text/plain", "later");
  ASSERT_TRUE(waits);
  EXPECT_EQ(std::get<pki::CmcPending>(*waits).retry_after, Seconds(90));
  EXPECT_EQ(std::get<pki::CmcPending>(*waits).text, "later");
}

}  // namespace
}  // namespace devid::est::test
