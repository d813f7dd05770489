// What devid sends, in the eyes of programs that are not ours: the openssl command, and curl with libest's server.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/interop/libest_site.h"
#include "tests/support/openssl_request.h"

namespace devid::test {
namespace {

using testing::HasSubstr;

std::string openssl(std::vector<std::string> arguments, const std::string& input = {}) {
  arguments.insert(arguments.begin(), "openssl");
  return output_of({.argv = std::move(arguments), .input = input});
}

std::string public_key_of(const std::string& der) {
  return openssl({"req", "-inform", "DER", "-noout", "-pubkey"}, der);
}

class ARequestOfDevid : public ::testing::TestWithParam<InteropToken> {
 protected:
  [[nodiscard]] Device& device() { return site_.device(); }
  [[nodiscard]] static InteropRow row(const std::string& peer, const std::string& what) {
    return {peer, what, name_of(GetParam())};
  }
  void write_profile(const std::string& more = {}, const std::string& name = "gateway") {
    device().write_profile(name, more, GetParam() == InteropToken::softhsm ? "token = \"hsm\"\n" : "");
  }
  /// The bodies that our own server was sent, base64.
  [[nodiscard]] std::vector<std::string> bodies() {
    std::vector<std::string> found;
    for (const auto& request : device().server().requests())
      if (request.method == "POST") found.push_back(request.body);
    return found;
  }

  LibestSite site_{GetParam()};
};

TEST_P(ARequestOfDevid, IsVerifiedByOpensslWhenItEnrollsAndWhenItRenews) {
  const auto row = this->row("openssl req", "verifies the request, enroll and re-enroll");
  write_profile("[subject_alternative_names]\ndns = [\"gateway.example\"]\n");
  ASSERT_EQ(device().ctl({"enroll", "gateway"}).status, 0) << device().bus().log();
  ASSERT_EQ(device().ctl({"renew", "gateway"}).status, 0) << device().bus().log();
  const auto sent = bodies();
  const auto issued = device().server().issued();
  ASSERT_EQ(sent.size(), 2U);
  ASSERT_EQ(issued.size(), 2U);
  for (std::size_t i = 0; i < sent.size(); ++i) {
    const std::string der = openssl({"base64", "-d"}, sent[i]);
    const std::string text = verified_request_text(der);
    EXPECT_THAT(text, HasSubstr("Version: 1 (0x0)"));
    EXPECT_THAT(text, HasSubstr("Subject: serialNumber=DEV-0001\n"));
    EXPECT_THAT(text, HasSubstr("Requested Extensions:\n                X509v3 Key Usage: critical"));
    EXPECT_THAT(text, HasSubstr("DNS:gateway.example\n"));
    EXPECT_EQ(public_key_of(der), public_key_of_certificate(issued[i]));
  }
  EXPECT_NE(sent[0], sent[1]);
}

TEST_P(ARequestOfDevid, IsVerifiedByOpensslWithEachKindOfKey) {
  const auto row = this->row("openssl req", "verifies requests of ec-p384 and rsa-2048 keys");
  const std::vector<std::string> algorithms = {"ec-p384", "rsa-2048"};
  for (const auto& algorithm : algorithms) write_profile("[key]\nalgorithm = \"" + algorithm + "\"\n", algorithm);
  for (const auto& algorithm : algorithms) {
    device().server().forget();
    const auto enrolled = device().ctl({"enroll", algorithm});
    ASSERT_EQ(enrolled.status, 0) << enrolled.errors << device().bus().log();
    ASSERT_EQ(bodies().size(), 1U);
    const std::string text = verified_request_text(openssl({"base64", "-d"}, bodies().front()));
    EXPECT_THAT(text, HasSubstr(algorithm == "ec-p384" ? "secp384r1" : "(2048 bit)"));
  }
}

TEST_P(ARequestOfDevid, IsGrantedByLibestWhenCurlPostsIt) {
  const auto row = this->row("curl", "posts the request to libest, which grants it");
  write_profile();
  ASSERT_EQ(device().ctl({"enroll", "gateway"}).status, 0) << device().bus().log();
  ASSERT_EQ(bodies().size(), 1U);
  const std::string body = bodies().front();
  site_.serve({.client = LibestClient::has_password, .password = LibestPassword::digest});
  const std::string user = std::string(LibestServer::user) + ":" + LibestServer::password;
  const std::string answer = output_of(
      {.argv = {"curl", "--silent", "--show-error", "--fail", "--max-time", "20", "--cacert", device().operator_root(),
                "--digest", "--user", user, "--header", "Content-Type: application/pkcs10", "--data-binary", "@-",
                site_.server().url() + "/.well-known/est/simpleenroll"},
       .input = body});
  const std::string certificate =
      openssl({"pkcs7", "-inform", "DER", "-print_certs"}, openssl({"base64", "-d"}, answer));
  EXPECT_EQ(public_key_of_certificate(certificate), public_key_of(openssl({"base64", "-d"}, body)));
}

INSTANTIATE_TEST_SUITE_P(Interop, ARequestOfDevid, ::testing::Values(InteropToken::swtpm, InteropToken::softhsm),
                         [](const auto& each) { return name_of(each.param); });

}  // namespace
}  // namespace devid::test
