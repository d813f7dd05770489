#include <gtest/gtest.h>

#include <iostream>
#include <map>
#include <string>
#include <variant>

#include "agent/est/session.h"
#include "tests/agent/est/device.h"

namespace devid::est::test {
namespace {

using devid::test::Ending;
using devid::test::EstOperation;
using devid::test::EstServer;
using devid::test::Misbehaviour;
using devid::test::misbehaviour;

struct Taken {};  ///< the session passes it on: others judge certificates
struct Waits {
  Seconds retry_after;
};
using Expectation = std::variant<Taken, Waits, Errc>;

class AMisbehavingServer : public testing::Test {
 protected:
  Result<Enrollment> enroll() { return need(Session::create(spec()))->simple_enroll(csr); }
  Result<Enrollment> enroll(const Misbehaviour& plan) {
    server.behave();
    server.misbehave(EstOperation::simpleenroll, plan);
    return enroll();
  }
  SessionSpec spec() { return session_spec(server, device); }

  EstServer server{server_spec()};
  Device device;
  Key new_key{KeyAlgorithm::ec_p256};
  Bytes csr = request_of(new_key.signing_key());
};

const std::map<std::string, Expectation>& expectations() {
  static const std::map<std::string, Expectation> all = {
      {"wrong-key", Taken{}},
      {"wrong-chain", Taken{}},
      {"expired", Taken{}},
      {"not-yet-valid", Taken{}},
      {"ca-certificate", Taken{}},
      {"no-digital-signature", Taken{}},
      {"server-only", Taken{}},
      {"other-names", Taken{}},
      {"more-names", Taken{}},
      {"empty-body", Errc::answer_malformed},
      {"empty-cms", Errc::answer_malformed},
      {"garbage", Errc::answer_malformed},
      {"not-cms", Errc::answer_malformed},
      {"truncated", Errc::answer_malformed},
      {"oversized", Errc::answer_too_large},
      {"trailing-nul", Taken{}},
      {"one-line", Taken{}},
      {"pem", Taken{}},
      {"crlf", Taken{}},
      {"no-smime-type", Taken{}},
      {"unusual-type", Taken{}},
      {"folded-type", Taken{}},
      {"wrong-type", Errc::server_protocol},
      {"no-type", Errc::server_protocol},
      {"no-transfer-encoding", Taken{}},
      {"chunked", Taken{}},
      {"http-1.0", Taken{}},
      {"status-202", Waits{Seconds(120)}},
      {"status-202-without-time", Waits{Seconds(0)}},
      {"status-204", Errc::server_protocol},
      {"status-400", Errc::server_refused},
      {"status-400-in-json", Errc::server_refused},
      {"status-401", Errc::server_unauthorized},
      {"status-403", Errc::server_unauthorized},
      {"status-404", Errc::server_refused},
      {"status-500", Errc::server_unavailable},
      {"status-503", Errc::server_unavailable},
      {"status-503-with-time", Waits{Seconds(90)}},
      {"redirect-elsewhere", Errc::server_protocol},
      {"redirect-to-http", Errc::server_protocol},
      {"no-http", Errc::server_protocol},
      {"cut-at-once", Errc::network_unreachable},
      {"cut-in-head", Errc::network_unreachable},
      {"cut-in-body", Errc::network_unreachable},
      {"closed-in-head", Errc::network_unreachable},
      {"closed-in-body", Errc::network_unreachable},
      // Those that end by the time limit have a test of their own.
      {"late", Errc::network_timeout},
      {"stalled", Errc::network_timeout},
  };
  return all;
}

void check(const std::string& name, const Expectation& expected, const Result<Enrollment>& answer) {
  if (const auto* code = std::get_if<Errc>(&expected)) {
    ASSERT_FALSE(answer) << name;
    EXPECT_EQ(code_name(answer.error().code), code_name(*code)) << name << ": " << answer.error().sentence();
    EXPECT_TRUE(answer.error().what.starts_with("cannot post to https://127.0.0.1:")) << answer.error().what;
    std::cout << "  " << name << ": " << answer.error().sentence() << "\n    hint: " << answer.error().hint << "\n";
    return;
  }
  ASSERT_TRUE(answer) << name << ": " << answer.error().sentence();
  if (const auto* waits = std::get_if<Waits>(&expected)) {
    ASSERT_TRUE(std::holds_alternative<Pending>(*answer)) << name;
    EXPECT_EQ(std::get<Pending>(*answer).retry_after, waits->retry_after) << name;
  } else {
    ASSERT_TRUE(std::holds_alternative<Issued>(*answer)) << name;
    EXPECT_EQ(std::get<Issued>(*answer).certificates.size(), 1U) << name;
  }
}

TEST_F(AMisbehavingServer, IsToldWhatIsWrongWithItForEveryMisbehaviourThatThereIs) {
  for (const auto& [name, plan] : devid::test::all_misbehaviours()) {
    const auto expected = expectations().find(name);
    ASSERT_NE(expected, expectations().end()) << "nobody says what is to come of " << name;
    const auto* code = std::get_if<Errc>(&expected->second);
    if (code == nullptr || *code != Errc::network_timeout) check(name, expected->second, enroll(plan));
  }
}

TEST_F(AMisbehavingServer, IsLeftWhenItsTimeIsUp) {
  for (const std::string name : {"late", "stalled"}) {
    server.behave();
    server.misbehave(EstOperation::simpleenroll, misbehaviour(name));
    auto hasty = spec();
    hasty.limits.request_timeout = Seconds(1);
    const auto begin = std::chrono::steady_clock::now();
    const auto answer = need(Session::create(std::move(hasty)))->simple_enroll(csr);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(1900)) << name;
    check(name, Errc::network_timeout, answer);
  }
}

TEST_F(AMisbehavingServer, IsLeftAloneSoonAfterTheJobIsCancelled) {
  server.misbehave(EstOperation::simpleenroll, misbehaviour("stalled"));
  auto patient = spec();
  patient.cancelled = [this] { return !server.requests().empty(); };
  const auto begin = std::chrono::steady_clock::now();
  const auto answer = need(Session::create(std::move(patient)))->simple_enroll(csr);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(1900));
  check("stalled", Errc::cancelled, answer);
}

TEST_F(AMisbehavingServer, IsWaitedForAcrossRedirectsNoLongerThanForOneAnswer) {
  server.misbehave(EstOperation::simpleenroll,
                   {.status = 307, .location = "simpleenroll", .delay = std::chrono::milliseconds(400)});
  auto hasty = spec();
  hasty.limits.request_timeout = Seconds(1);
  const auto answer = need(Session::create(std::move(hasty)))->simple_enroll(csr);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::network_timeout);
}

TEST_F(AMisbehavingServer, IsQuoted) {
  const auto answer = enroll(misbehaviour("status-403"));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().reason, "this device is barred");
  EXPECT_EQ(answer.error().retry, Retry::after_operator);
  const auto json = enroll(misbehaviour("status-400-in-json"));
  ASSERT_FALSE(json);
  EXPECT_EQ(json.error().reason, R"({"message":"the subject is not in the inventory"})");
  const auto pending = need(enroll(misbehaviour("status-202")));
  EXPECT_EQ(std::get<Pending>(pending).text, "the operator has to approve this device");
}

TEST_F(AMisbehavingServer, MayNameTheTimeAsADate) {
  const auto answer = need(enroll({.status = 503, .retry_after = "Fri, 31 Dec 2100 23:59:59 GMT"}));
  EXPECT_EQ(std::get<Pending>(answer).retry_after, std::chrono::days(30));
}

TEST_F(AMisbehavingServer, GivesAdviceForOtherOperationsToo) {
  server.misbehave(EstOperation::cacerts, misbehaviour("status-503-with-time"));
  const auto answer = need(Session::create(spec()))->ca_certificates();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::server_unavailable);
  EXPECT_EQ(answer.error().retry_after, Seconds(90));
}

TEST_F(AMisbehavingServer, IsToldByItsStatusHoweverMuchItSays) {
  const auto answer = enroll({.status = 400, .text = std::string(4U << 20U, 'x')});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::server_refused);
  EXPECT_LE(answer.error().reason.size(), 503U);
}

TEST_F(AMisbehavingServer, MaySendAsMuchAsTheLimitSaysAndNoByteMore) {
  const std::string body(1000, 'A');
  for (const std::size_t limit : {body.size(), body.size() - 1}) {
    server.behave();
    server.misbehave(
        EstOperation::simpleenroll,
        {.raw = "HTTP/1.1 200 OK\r\nContent-Type: application/pkcs7-mime\r\nContent-Length: 1000\r\n\r\n" + body});
    auto limited = spec();
    limited.limits.answer_bytes = limit;
    const auto answer = need(Session::create(std::move(limited)))->simple_enroll(csr);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, limit == body.size() ? Errc::answer_malformed : Errc::answer_too_large);
  }
}

TEST_F(AMisbehavingServer, CannotFillTheMemoryByWhatIsBeforeTheBody) {
  std::string endless;
  for (int i = 0; i < 5000; ++i) endless += "HTTP/1.1 102 Processing\r\n\r\n";
  const auto interim = enroll({.raw = endless});
  ASSERT_FALSE(interim);
  EXPECT_EQ(interim.error().code, Errc::answer_too_large) << interim.error().sentence();

  std::string head = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 2000; ++i) head += "X-Filler: " + std::string(50, 'x') + "\r\n";
  const auto fields = enroll({.raw = head + "\r\n"});
  ASSERT_FALSE(fields);
  EXPECT_EQ(fields.error().code, Errc::answer_too_large) << fields.error().sentence();
}

/// Cuts the answer after 0, 1, 2 … bytes until the whole of it comes through. Returns how many cuts there were.
template <class Operation>
std::size_t cut_everywhere(EstServer& server, EstOperation operation, Ending ending, const Operation& perform) {
  constexpr std::size_t most = 4096;
  for (std::size_t bytes = 0; bytes < most; ++bytes) {
    server.behave();
    server.misbehave(operation, {.cut_after = bytes, .ending = ending});
    const auto answer = perform();
    if (answer) return bytes;
    EXPECT_EQ(answer.error().code, Errc::network_unreachable)
        << "after " << bytes << " bytes: " << answer.error().sentence();
  }
  return most;
}

TEST_F(AMisbehavingServer, MayCutTheAnswerAtAnyByte) {
  const std::size_t cuts =
      cut_everywhere(server, EstOperation::simpleenroll, Ending::abrupt, [this] { return enroll(); });
  std::cout << "[ numbers  ] cuts " << cuts << "\n";
  EXPECT_GT(cuts, 500U);
  EXPECT_LT(cuts, 4096U);
}

TEST_F(AMisbehavingServer, MayEndTheTlsConnectionPolitelyAtAnyByte) {
  auto with_attributes = server_spec();
  with_attributes.csr_attributes = Bytes(60, std::byte{0x30});
  EstServer asking(std::move(with_attributes));
  const auto ask = [&] { return need(Session::create(session_spec(asking, device)))->csr_attributes(); };
  const std::size_t cuts = cut_everywhere(asking, EstOperation::csrattrs, Ending::close_notify, ask);
  std::cout << "[ numbers  ] cuts " << cuts << "\n";
  EXPECT_GT(cuts, 200U);
  EXPECT_LT(cuts, 4096U);
}

TEST_F(AMisbehavingServer, MayCutTheHandshakeAtAnyByte) {
  constexpr std::size_t most = 4096;
  std::size_t bytes = 0;
  for (; bytes < most; ++bytes) {
    server.cut_handshakes(bytes);
    const auto answer = need(Session::create(spec()))->ca_certificates();
    if (answer) break;
    ASSERT_EQ(answer.error().code, Errc::network_unreachable)
        << "after " << bytes << " bytes: " << answer.error().sentence();
  }
  std::cout << "[ numbers  ] cuts " << bytes << "\n";
  EXPECT_GT(bytes, 500U);
  EXPECT_LT(bytes, most);
}

}  // namespace
}  // namespace devid::est::test
