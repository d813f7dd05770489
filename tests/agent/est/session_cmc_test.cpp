#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "agent/est/session.h"
#include "tests/agent/est/device.h"

namespace devid::est::test {
namespace {

using devid::test::CmcOutcome;
using devid::test::EstOperation;
using devid::test::EstServer;
using devid::test::Misbehaviour;
using testing::Contains;
using testing::HasSubstr;

/// A Full PKI Request, signed by the device's certificate, over TLS.
class AFullPkiRenewal : public testing::Test {
 protected:
  Result<Enrollment> renew(const Misbehaviour& plan = {}) {
    server.behave();
    server.misbehave(EstOperation::fullcmc, plan);
    const auto request =
        need(pki::make_cmc_request(request_of(new_key.signing_key()),
                                   {.certificate = device.certificate, .chain = {}, .key = device.key.signing_key()}));
    return need(Session::create(session_spec(server, device)))->full_cmc(request, anchors, SystemClock().now());
  }
  static Error error_of(const Result<Enrollment>& answer) {
    if (answer) throw std::runtime_error("there is no error");
    return answer.error();
  }

  EstServer server{server_spec()};
  Device device;
  Key new_key{KeyAlgorithm::ec_p256};
  const std::vector<pki::Certificate> anchors = certificates(Cas::instance().pki.ca("operator").certificate_pem);
};

TEST_F(AFullPkiRenewal, BringsACertificateHoweverTheAnswerIsWritten) {
  for (const auto* form :
       {"one-line", "crlf", "pem", "trailing-nul", "no-smime-type", "no-transfer-encoding", "chunked", "http-1.0"}) {
    server.forget();
    const auto answer = renew(devid::test::misbehaviour(form));
    ASSERT_TRUE(answer) << form << ": " << answer.error().sentence();
    EXPECT_THAT(std::get<Issued>(*answer).certificates, Contains(certificates(server.issued().at(0)).at(0))) << form;
  }
  EXPECT_EQ(server.requests().back().header("content-type"), "application/pkcs7-mime; smime-type=CMC-request");
  EXPECT_EQ(server.requests().back().header("content-transfer-encoding"), "base64");
}

TEST_F(AFullPkiRenewal, WaitsWhetherTheCaSaysHowLongOrNot) {
  const std::string text = "nobody knows how long it takes";
  const auto open = renew({.cmc = CmcOutcome::pending_without_time});
  ASSERT_TRUE(open) << open.error().sentence();
  EXPECT_EQ(std::get<Pending>(*open).retry_after, Seconds(0));
  EXPECT_EQ(std::get<Pending>(*open).text, text);
  const auto advised = renew({.retry_after = "900", .cmc = CmcOutcome::pending_without_time});
  ASSERT_TRUE(advised) << advised.error().sentence();
  EXPECT_EQ(std::get<Pending>(*advised).retry_after, Seconds(900));
  const auto dated = renew({.retry_after = "900", .cmc = CmcOutcome::pending});
  ASSERT_TRUE(dated) << dated.error().sentence();
  EXPECT_GT(std::get<Pending>(*dated).retry_after, Seconds(3000));
}

TEST_F(AFullPkiRenewal, IsRefusedInTheWordsOfTheCaOrOfTheServer) {
  const Error failed = error_of(renew({.cmc = CmcOutcome::failed}));
  EXPECT_EQ(failed.code, Errc::server_refused);
  EXPECT_EQ(failed.reason, "failed, badIdentity: this device is not known");
  const Error barred = error_of(renew(devid::test::misbehaviour("status-403")));
  EXPECT_EQ(barred.code, Errc::server_unauthorized);
  EXPECT_EQ(barred.reason, "this device is barred");
  EXPECT_THAT(barred.hint, HasSubstr("knows this device's certificate"));
  EXPECT_EQ(error_of(renew(devid::test::misbehaviour("wrong-type"))).code, Errc::server_protocol);
  EXPECT_EQ(error_of(renew(devid::test::misbehaviour("garbage"))).code, Errc::answer_malformed);
  EXPECT_EQ(error_of(renew(devid::test::misbehaviour("oversized"))).code, Errc::answer_too_large);
}

}  // namespace
}  // namespace devid::est::test
