#include "agent/est/server_keygen_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/est/body.h"
#include "tests/support/certificate_of.h"
#include "tests/support/command.h"
#include "tests/support/test_pki.h"

namespace devid::est {
namespace {

using testing::HasSubstr;

const std::string mixed = "multipart/mixed; boundary=b";
const std::string plain = "application/pkcs8";
const std::string enveloped = "application/pkcs7-mime; smime-type=server-generated-key";
const std::string certs = "application/pkcs7-mime; smime-type=certs-only";

class AnAnswerWithAKey : public testing::Test {
 protected:
  AnAnswerWithAKey() {
    pki.make_ca("root");
    const auto leaf = pki.issue({.issuer = "root"});
    certificate = leaf.certificate_pem;
    message = pki.certs_only({certificate});
    key = test::output_of({.argv = {"openssl", "pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in", leaf.key}});
  }

  static std::string part(const std::string& type, const std::string& der) {
    return "--b\r\nContent-Type: " + type + "\r\n\r\n" + encode_body(as_bytes(der)) + "\r\n";
  }
  static Answer answer(std::string_view body, const std::string& type = mixed, long status = 200) {
    return {.status = status, .headers = {{"content-type", type}}, .body = WipedText(body)};
  }
  std::string good() const { return part(plain, key) + part(certs, message) + "--b--\r\n"; }

  static void expect_error(const Answer& wrong, Errc code, const std::string& reason) {
    const auto read = read_server_keygen(wrong);
    ASSERT_FALSE(read) << reason;
    EXPECT_EQ(read.error().code, code) << read.error().sentence();
    EXPECT_THAT(read.error().sentence(), HasSubstr(reason));
  }

  test::TestPki pki;
  std::string certificate;
  std::string message;
  std::string key;
};

TEST_F(AnAnswerWithAKey, GivesTheKeyAndTheCertificate) {
  const auto read = read_server_keygen(answer(good()));
  ASSERT_TRUE(read) << read.error().sentence();
  EXPECT_EQ(read->form, pki::ServerKeyForm::plain);
  EXPECT_EQ(as_text(read->key.reveal()), key);
  EXPECT_THAT(read->certificates, testing::ElementsAre(test::certificate_of(certificate)));
}

TEST_F(AnAnswerWithAKey, MayHaveItsPartsInAnyOrderAndOthersBesides) {
  const std::string text = "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n";
  for (const auto& body :
       {part(certs, message) + part(plain, key), text + part(plain, key) + text + part(certs, message),
        part("APPLICATION/PKCS7-MIME", message) + part("Application/PKCS8", key)}) {
    const auto read = read_server_keygen(answer(body + "--b--", "Multipart/Mixed; Boundary=\"b\""));
    ASSERT_TRUE(read) << read.error().sentence();
    EXPECT_EQ(as_text(read->key.reveal()), key);
  }
}

TEST_F(AnAnswerWithAKey, MayLookAsLibestHasIt) {
  const auto lines = [](const std::string& der) {
    std::string text = encode_body(as_bytes(der));
    std::erase(text, '\r');
    return text;
  };
  const std::string body =
      "\n--est-server-boundary\r\nContent-Type: application/pkcs8\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
      lines(key) + "\r\n--est-server-boundary\r\nContent-Type: application/pkcs7-mime; smime-type=certs-only\r\n" +
      "Content-Transfer-Encoding: base64\r\n\r\n" + lines(message) + "\r\n--est-server-boundary--";
  const auto read = read_server_keygen(answer(body, "multipart/mixed ; boundary=est-server-boundary"));
  ASSERT_TRUE(read) << read.error().sentence();
  EXPECT_EQ(as_text(read->key.reveal()), key);
  EXPECT_EQ(read->certificates.size(), 1U);
}

TEST_F(AnAnswerWithAKey, SaysWhetherTheKeyIsEncrypted) {
  for (const auto& type : {enveloped, std::string("application/pkcs7-mime; smime-type=\"Server-Generated-Key\"")}) {
    const auto read = read_server_keygen(answer(part(type, "sealed") + part(certs, message) + "--b--"));
    ASSERT_TRUE(read) << read.error().sentence();
    EXPECT_EQ(read->form, pki::ServerKeyForm::enveloped);
    EXPECT_EQ(as_text(read->key.reveal()), "sealed");
  }
}

TEST_F(AnAnswerWithAKey, IsRefusedByItsStatusAndMediaType) {
  expect_error(answer("this key? no", "text/plain", 400), Errc::server_refused, "this key? no");
  expect_error(answer("", "text/plain", 401), Errc::server_unauthorized, "status 401");
  expect_error(answer("", "text/plain", 503), Errc::server_unavailable, "status 503");
  expect_error(answer(good(), "text/html"), Errc::server_protocol, "wrong media type: text/html");
  expect_error(answer(good(), "multipart/form-data; boundary=b"), Errc::server_protocol, "wrong media type");
  expect_error(answer(good(), certs), Errc::server_protocol, "wrong media type");
  expect_error(answer(good(), ""), Errc::server_protocol, "no media type");
}

TEST_F(AnAnswerWithAKey, IsRefusedWithoutWhatItMustHave) {
  const std::string k = part(plain, key);
  const std::string c = part(certs, message);
  const std::string end = "--b--";
  const std::vector<std::tuple<std::string, std::string>> table = {
      {c + end, "no part with a key"},
      {k + end, "no part with a certificate"},
      {k + part(enveloped, key) + c + end, "more than one part with a key"},
      {k + c + c + end, "more than one part with certificates"},
      {part("application/pkcs10", key) + c + end, "no part with a key"},
      {part("multipart/mixed; boundary=c", k) + c + end, "no part with a key"},
      {part(plain, "") + c + end, "the key is empty"},
      {k + part(certs, "") + end, "cannot read the certificates"},
      {k + part(certs, key) + end, "cannot read the certificates"},
      {k + part(certs, pki.certs_only({})) + end, "holds no certificate"},
      {"--b\r\nContent-Type: " + plain + "\r\n\r\n<html>\r\n" + c + end, "read the part with the key"},
      {k + "--b\r\nContent-Type: " + certs + "\r\n\r\n<html>\r\n" + end, "read the part with the certificate"},
      {k + c, "last boundary is missing"},
      {"", "boundary is not in it"},
  };
  for (const auto& [body, reason] : table) expect_error(answer(body), Errc::answer_malformed, reason);
  expect_error(answer(good(), "multipart/mixed"), Errc::answer_malformed, "no boundary");
}

}  // namespace
}  // namespace devid::est
