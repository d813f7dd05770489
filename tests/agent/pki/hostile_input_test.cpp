// What no reader of agent/pki may be hurt by, whatever it reads.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <functional>

#include "agent/pki/cmc.h"
#include "agent/pki/cms.h"
#include "agent/pki/crl.h"
#include "agent/pki/csr_attributes.h"
#include "agent/pki/ocsp.h"
#include "agent/pki/server_key.h"
#include "tests/support/asn1_text.h"
#include "tests/support/certificate_of.h"
#include "tests/support/test_pki.h"

namespace devid::pki {
namespace {

using test::certificate_of;
using test::deep_der;
using test::endless_ber;
using test::wrap_der;

class HostileInput : public testing::Test {
 protected:
  HostileInput() { pki.make_ca("root"); }

  template <class T>
  static std::optional<Error> error_of(Result<T> result) {
    return result ? std::nullopt : std::optional(std::move(result.error()));
  }

  test::TestPki pki;
  Certificate root = certificate_of(pki.make_ca("ca").certificate_pem);
  RevocationQuestion question{.subject = root, .issuer = root, .now = SystemClock().now()};
  using Reader = std::function<std::optional<Error>(BytesView)>;
  std::vector<std::pair<std::string, Reader>> readers{
      {"certificate", [](BytesView der) { return error_of(Certificate::from_der(der)); }},
      {"certificates", [](BytesView der) { return error_of(read_certs_only(der)); }},
      {"csrattrs", [](BytesView der) { return error_of(read_csr_attributes(der)); }},
      {"CRL", [this](BytesView der) { return error_of(read_crl(der, question)); }},
      {"OCSP", [this](BytesView der) { return error_of(read_ocsp_response(der, question)); }},
      {"CMC", [this](BytesView der) { return error_of(read_cmc_response(der, {}, {root}, question.now)); }},
      {"key", [](BytesView der) { return error_of(read_plain_key(der)); }},
      {"encrypted key", [](BytesView der) {
         return error_of(read_enveloped_key(der, SymmetricDecryptionKey{.identifier = {}, .key = Secret(Bytes(32))}));
       }}};
};

TEST_F(HostileInput, IsRefusedByEveryReaderHoweverDeepItIs) {
  const std::string signed_data("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", 11);
  std::vector<std::string> inputs;
  for (const char tag : {'\x30', '\x31', '\x24', '\xa0', '\x61'}) {
    for (const std::size_t depth : {1000UL, 10'000UL}) {
      const std::string deep = deep_der(tag, depth);
      const std::string endless = endless_ber(tag, depth);
      inputs.insert(inputs.end(),
                    {deep, endless, endless + std::string(depth * 2, '\0'), wrap_der('\x30', deep),
                     wrap_der('\x30', deep + deep + deep), wrap_der('\x30', signed_data + wrap_der('\xa0', deep)),
                     wrap_der('\x30', signed_data + wrap_der('\xa0', endless))});
    }
  }
  for (const auto& [what, read] : readers) {
    const std::clock_t begin = std::clock();
    for (const auto& input : inputs) {
      const auto error = read(as_bytes(input));
      ASSERT_TRUE(error) << what;
      EXPECT_EQ(code_name(error->code), code_name(Errc::answer_malformed)) << what << ": " << error->sentence();
    }
    EXPECT_LT(std::clock() - begin, 5 * CLOCKS_PER_SEC) << what;
  }
}

TEST_F(HostileInput, IsRefusedByEveryReaderIfItsLengthsLie) {
  using namespace std::string_literals;
  for (const auto& [what, read] : readers) {
    for (const auto& input :
         {"\x30"s, "\x30\x82"s, "\x30\x7f"s, "\x30\x82\xff\xff\x02\x01\x00"s, "\x30\x84\x7f\xff\xff\xff"s,
          "\x30\x84\xff\xff\xff\xff\x30\x00"s, "\x30\x88\xff\xff\xff\xff\xff\xff\xff\xff\x30\x00"s, "\x30\xff\x01"s,
          "\x1f\xff\xff\xff\xff\xff\xff\x7f\x00"s, "\x00\x00"s, std::string(100'000, '\xff')}) {
      const auto error = read(as_bytes(input));
      ASSERT_TRUE(error) << what;
      EXPECT_EQ(code_name(error->code), code_name(Errc::answer_malformed)) << what << ": " << error->sentence();
    }
  }
}

TEST_F(HostileInput, OfTenThousandCertificatesIsRefusedInSeconds) {
  const std::string message = test::certs_only_of_many(pki.issue({.issuer = "root"}).certificate_pem, 10'000);
  const std::clock_t begin = std::clock();
  const auto certificates = read_certs_only(as_bytes(message));
  EXPECT_LT(std::clock() - begin, 5 * CLOCKS_PER_SEC) << "of this process";
  ASSERT_FALSE(certificates);
  EXPECT_EQ(certificates.error().code, Errc::answer_malformed);
  EXPECT_THAT(certificates.error().reason, testing::HasSubstr("more than 64 certificates"));
  EXPECT_FALSE(read_cmc_response(as_bytes(message), {}, {root}, question.now));
}

}  // namespace
}  // namespace devid::pki
