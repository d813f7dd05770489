#include "agent/pki/cms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pkcs7.h>

#include "tests/support/certificate_of.h"
#include "tests/support/command.h"
#include "tests/support/test_pki.h"

namespace devid::pki {
namespace {

using test::certificate_of;
using testing::ElementsAre;
using testing::HasSubstr;

class AnswerOfACa : public testing::Test {
 protected:
  AnswerOfACa() {
    pki.make_ca("root");
    pki.make_ca("intermediate", "root");
    leaf = pki.issue({.issuer = "intermediate"}).certificate_pem;
  }

  static void expect_malformed(const std::string& der, const std::string& reason) {
    const auto found = read_certs_only(as_bytes(der));
    ASSERT_FALSE(found) << reason;
    EXPECT_EQ(found.error().code, Errc::answer_malformed);
    EXPECT_EQ(found.error().retry, Retry::later);
    EXPECT_THAT(found.error().reason, HasSubstr(reason));
    EXPECT_THAT(found.error().hint, HasSubstr("log"));
  }

  /// What `openssl cms` makes of "hello", in DER.
  std::string openssl_cms(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"openssl", "cms", "-outform", "DER"});
    return test::output_of({.argv = std::move(arguments), .input = "hello"});
  }

  test::TestPki pki;
  std::string leaf;
};

TEST_F(AnswerOfACa, GivesItsCertificatesInTheirOrder) {
  const std::string& root = pki.ca("root").certificate_pem;
  const std::string& intermediate = pki.ca("intermediate").certificate_pem;
  for (const auto& order : {std::vector{leaf}, {leaf, intermediate, root}, {root, leaf, intermediate}}) {
    const auto found = read_certs_only(as_bytes(pki.certs_only(order)));
    ASSERT_TRUE(found) << found.error().sentence();
    ASSERT_EQ(found->size(), order.size());
    for (std::size_t i = 0; i < order.size(); ++i) EXPECT_EQ((*found)[i], certificate_of(order[i]));
  }
}

TEST_F(AnswerOfACa, MayCarryRevocationListsToo) {
  const auto conf = pki.directory() / "crl.cnf";
  const auto index = pki.directory() / "crl.txt";
  test::output_of({.argv = {"tee", conf}, .input = "[ca]\ndefault_ca=x\n[x]\ndatabase=" + index.string() + "\n"});
  test::output_of({.argv = {"touch", index}});
  const std::string crl =
      test::output_of({.argv = {"openssl", "ca", "-gencrl", "-config", conf, "-md", "sha256", "-crldays", "1", "-cert",
                                pki.ca("root").certificate, "-keyfile", pki.ca("root").key}});
  const std::string der = test::output_of(
      {.argv = {"openssl", "crl2pkcs7", "-certfile", pki.ca("root").certificate, "-outform", "DER"}, .input = crl});
  const auto found = read_certs_only(as_bytes(der));
  ASSERT_TRUE(found) << found.error().sentence();
  EXPECT_THAT(*found, ElementsAre(certificate_of(pki.ca("root").certificate_pem)));
}

TEST_F(AnswerOfACa, IsRefusedWhenItIsCutAnywhere) {
  const std::string der = pki.certs_only({leaf});
  for (std::size_t size = 0; size < der.size(); ++size) {
    const auto found = read_certs_only(as_bytes(std::string_view(der).substr(0, size)));
    ASSERT_FALSE(found) << size;
    ASSERT_EQ(found.error().code, Errc::answer_malformed);
  }
}

TEST_F(AnswerOfACa, IsRefusedWhenSomethingFollows) {
  const std::string der = pki.certs_only({leaf});
  expect_malformed(der + '\0', "1 bytes follow");
  expect_malformed(der + der, "follow the CMS message");
}

TEST_F(AnswerOfACa, NeverCrashesOrLiesOnADamagedByte) {
  const std::string der = pki.certs_only({leaf});
  for (std::size_t i = 0; i < der.size(); ++i) {
    for (const unsigned change : {0x01U, 0x20U, 0x80U, 0xffU}) {
      std::string damaged = der;
      damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ change);
      const auto found = read_certs_only(as_bytes(damaged));
      EXPECT_LE(found ? found->size() : 0, 1U) << i;
    }
  }
}

TEST_F(AnswerOfACa, IsNotSpoiledByOneCertificateThatCannotBeReadWhereItIsAllThatACaOffers) {
  const std::string& root = pki.ca("root").certificate_pem;
  const std::string odd = test::pem_to_der(leaf);
  std::string no_date = odd;
  no_date.replace(no_date.find("\x17\x0d") + 4, 2, "99");  // the month of its notBefore
  std::string message = pki.certs_only({root, leaf});
  message.replace(message.find(odd), odd.size(), no_date);
  const auto offered = read_ca_certificates(as_bytes(message));
  ASSERT_TRUE(offered) << offered.error().sentence();
  EXPECT_THAT(offered->certificates, ElementsAre(certificate_of(root)));
  EXPECT_THAT(offered->remarks, ElementsAre(testing::AllOf(HasSubstr("CN=gateway: "), HasSubstr("no date"))));
  expect_malformed(message, "no date");

  message = pki.certs_only({leaf});
  message.replace(message.find(odd), odd.size(), no_date);
  const auto nothing = read_ca_certificates(as_bytes(message));
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().code, Errc::answer_malformed);
  EXPECT_THAT(nothing.error().reason, HasSubstr("none of its certificates can be read"));
}

TEST_F(AnswerOfACa, IsRefusedWithoutCertificates) { expect_malformed(pki.certs_only({}), "holds no certificate"); }

TEST_F(AnswerOfACa, MayHoldSixtyFourCertificatesAndNoMore) {
  std::vector<std::string> many(64, leaf);
  for (std::size_t i = 0; i < many.size(); ++i)  // OpenSSL drops duplicates
    many[i] = test::output_of({.argv = {"openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout",
                                        "/dev/null", "-subj", "/CN=" + std::to_string(i)}});
  const auto found = read_certs_only(as_bytes(pki.certs_only(many)));
  ASSERT_TRUE(found) << found.error().sentence();
  EXPECT_EQ(found->size(), 64U);
  many.push_back(leaf);
  expect_malformed(pki.certs_only(many), "more than 64");
}

TEST_F(AnswerOfACa, IsRefusedWithASigner) {
  const auto signer = pki.issue({.issuer = "root"});
  expect_malformed(openssl_cms({"-sign", "-signer", signer.certificate, "-inkey", signer.key}), "has signers");
  expect_malformed(openssl_cms({"-sign", "-nodetach", "-signer", signer.certificate, "-inkey", signer.key}), "signers");
}

TEST_F(AnswerOfACa, MayHaveEmptyContentButNoOther) {
  const Owned<PKCS7, PKCS7_free> message(PKCS7_new());
  ASSERT_EQ(PKCS7_set_type(message.get(), NID_pkcs7_signed), 1);
  ASSERT_EQ(PKCS7_content_new(message.get(), NID_pkcs7_data), 1);
  ASSERT_EQ(PKCS7_add_certificate(message.get(), certificate_of(leaf).get()), 1);
  const auto encoded = [&] {
    const Bio out(BIO_new(BIO_s_mem()));
    EXPECT_EQ(i2d_PKCS7_bio(out.get(), message.get()), 1);
    return std::string(as_text(bio_bytes(out.get())));
  };
  EXPECT_TRUE(read_certs_only(as_bytes(encoded())));
  ASN1_STRING_set(message->d.sign->contents->d.data, "hello", 5);
  expect_malformed(encoded(), "has content");
}

TEST_F(AnswerOfACa, IsRefusedAsAnotherTypeOfCms) {
  expect_malformed(openssl_cms({"-data_create"}), "no CMS SignedData");
  expect_malformed(openssl_cms({"-digest_create", "-md", "sha256"}), "no CMS SignedData");
  expect_malformed(openssl_cms({"-EncryptedData_encrypt", "-aes128", "-secretkey", "000102030405060708090a0b0c0d0e0f"}),
                   "no CMS SignedData");
}

TEST_F(AnswerOfACa, IsRefusedAsSomethingElse) {
  expect_malformed("", "");
  expect_malformed(std::string(1000, '\0'), "");
  expect_malformed("<html>not found</html>", "");
  expect_malformed(pki.certs_only({leaf}).insert(0, "\n"), "");
  expect_malformed(leaf, "");
  expect_malformed(test::pem_to_der(leaf), "");
}

}  // namespace
}  // namespace devid::pki
