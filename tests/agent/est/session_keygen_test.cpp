// A server that makes the key, over the wire: where its answer ends.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "agent/pki/server_key.h"
#include "tests/agent/est/device.h"

namespace devid::est::test {
namespace {

using devid::test::Ending;
using devid::test::EstOperation;
using devid::test::EstServer;
using devid::test::HttpForm;
using devid::test::Misbehaviour;
using testing::HasSubstr;

class AServerThatMakesTheKey : public testing::Test {
 protected:
  /// What the session makes of one request, at a server that misbehaves.
  Result<KeyGeneration> ask(const Misbehaviour& misbehaviour = {}, std::optional<BindingKind> binding = {}) {
    server_.behave();
    server_.forget();
    server_.misbehave(EstOperation::serverkeygen, misbehaviour);
    SessionSpec spec = session_spec(server_, device_);
    spec.binding = binding;
    spec.limits.request_timeout = Seconds(3);
    session_ = need(Session::create(std::move(spec)));
    need(session_->ca_certificates());
    return session_->server_keygen(Requests(new_key_.signing_key()).source());
  }

  void expect_key(const Misbehaviour& misbehaviour, std::optional<BindingKind> binding = {}) {
    const auto answer = ask(misbehaviour, binding);
    ASSERT_TRUE(answer) << answer.error().sentence();
    const auto& generated = std::get<GeneratedKey>(*answer);
    const auto key = need(pki::read_server_key(generated.form, generated.key.reveal(), {}));
    ASSERT_EQ(generated.certificates.size(), 1U);
    EXPECT_EQ(key.public_key, need(generated.certificates[0].public_key()));
    EXPECT_EQ(server_.connections(), 1U);
  }

  void expect_error(const Misbehaviour& misbehaviour, Errc code, const std::string& reason) {
    const auto answer = ask(misbehaviour);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, code) << answer.error().sentence();
    EXPECT_THAT(answer.error().sentence(), HasSubstr(reason));
  }

  EstServer server_{server_spec()};
  Device device_;
  Key new_key_{KeyAlgorithm::ec_p256};
  std::unique_ptr<Session> session_;
};

TEST_F(AServerThatMakesTheKey, IsReadInEveryFormOfHttp) {
  for (const HttpForm form : {HttpForm::length, HttpForm::chunked, HttpForm::http_1_0, HttpForm::short_length}) {
    expect_key({.form = form});
    expect_key({.form = form}, BindingKind::tls_unique);
  }
}

TEST_F(AServerThatMakesTheKey, IsNotWaitedForOnceTheLastBoundaryIsThere) {
  const auto begun = std::chrono::steady_clock::now();
  expect_key({.form = HttpForm::short_length, .stays_open = true});
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(2));
}

TEST_F(AServerThatMakesTheKey, IsToldThatTheConnectionEnds) {
  ASSERT_TRUE(ask());
  EXPECT_EQ(server_.requests().back().header("connection"), "close");
  EXPECT_EQ(server_.requests().front().header("connection"), std::nullopt);
  need(session_->ca_certificates());
  EXPECT_EQ(server_.connections(), 2U);
}

TEST_F(AServerThatMakesTheKey, IsNotBelievedWhereItsAnswerIsCut) {
  for (const std::size_t size : {500U, 1000U}) {
    // curl takes a connection that ends without TLS's close_notify for one that ends.
    for (const Ending ending : {Ending::close_notify, Ending::abrupt})
      expect_error({.cut_after = size, .ending = ending}, Errc::answer_malformed,
                   "its last boundary is missing: it may be truncated");
    expect_error({.cut_after = size, .ending = Ending::stall}, Errc::network_timeout, "");
  }
}

TEST_F(AServerThatMakesTheKey, CannotSendWithoutEnd) {
  const std::string head =
      "HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Length: 9\r\n\r\n--b\r\n\r\n";
  expect_error({.endless = std::string(10000, 'x'), .raw = head}, Errc::answer_too_large, "longer than 1048576 bytes");
}

TEST_F(AServerThatMakesTheKey, IsUnderstoodWhenItRefusesOrNeedsTime) {
  expect_error({.status = 400, .text = "no keys for this device\n"}, Errc::server_refused, "no keys for this device");
  const auto waits = ask({.status = 202, .text = "later\n", .retry_after = "120"});
  ASSERT_TRUE(waits) << waits.error().sentence();
  EXPECT_EQ(std::get<Pending>(*waits).retry_after, Seconds(120));
}

}  // namespace
}  // namespace devid::est::test
