#include "agent/identity/anchors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temporary_directory.h"
#include "tests/support/test_pki.h"

namespace devid::identity {
namespace {

using testing::HasSubstr;

TEST(TrustAnchors, AreReadFromPem) {
  test::TestPki pki;
  const auto first = pki.make_ca("first");
  const auto second = pki.make_ca("second");
  const auto file = pki.directory() / "anchors.pem";
  std::ofstream(file) << "# comment\n" << first.certificate_pem << second.certificate_pem;
  const auto anchors = read_anchors(file);
  ASSERT_TRUE(anchors) << anchors.error().sentence();
  EXPECT_EQ(anchors->size(), 2U);
}

TEST(TrustAnchors, ThatAreNoneAreTheOperatorsToPutRight) {
  const test::TemporaryDirectory directory;
  const auto file = directory.path() / "anchors.pem";
  EXPECT_EQ(read_anchors(file).error().code, Errc::config_missing);
  for (const std::string text : {"", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}) {
    std::ofstream(file) << text;
    const auto anchors = read_anchors(file);
    ASSERT_FALSE(anchors);
    EXPECT_EQ(anchors.error().code, Errc::config_invalid);
    EXPECT_EQ(anchors.error().retry, Retry::after_operator);
    EXPECT_THAT(anchors.error().sentence(), HasSubstr(file.string()));
    EXPECT_THAT(anchors.error().hint, HasSubstr("PEM"));
  }
}

TEST(TrustAnchors, OfADirectoryAreThoseOfAllItsCertificateFiles) {
  test::TestPki pki;
  const auto first = pki.make_ca("first");
  const auto second = pki.make_ca("second");
  const test::TemporaryDirectory directory;
  EXPECT_EQ(read_anchors(directory.path()).error().code, Errc::config_missing) << "none";
  std::ofstream(directory.path() / "b.pem") << first.certificate_pem;
  std::ofstream(directory.path() / "a.crt") << second.certificate_pem << first.certificate_pem;
  std::ofstream(directory.path() / "README") << "not a certificate";
  const auto anchors = read_anchors(directory.path());
  ASSERT_TRUE(anchors) << anchors.error().sentence();
  ASSERT_EQ(anchors->size(), 2U);
  EXPECT_EQ(anchors->at(0).subject(), "CN=second");
  EXPECT_EQ(anchors->at(1).subject(), "CN=first");
  std::ofstream(directory.path() / "c.cer") << "garbage";
  EXPECT_EQ(read_anchors(directory.path()).error().code, Errc::config_invalid);
}

}  // namespace
}  // namespace devid::identity
