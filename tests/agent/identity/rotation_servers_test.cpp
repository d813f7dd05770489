#include <gmock/gmock.h>

#include <algorithm>

#include "tests/agent/identity/site.h"
#include "tests/support/proxies.h"

namespace devid::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Two EST servers of one CA, and a profile that names them and whatever else.
class ADeviceWithSeveralServers : public Site {
 protected:
  ADeviceWithSeveralServers() {
    const auto& authorities = Authorities::get();
    second_ = std::make_unique<EstServer>(EstServerSpec{.certificate = authorities.server.full_chain,
                                                        .key = authorities.server.key,
                                                        .manufacturer_ca = authorities.manufacturer.certificate,
                                                        .issuer = {.certificate = authorities.operator_ca.certificate,
                                                                   .key = authorities.operator_ca.key,
                                                                   .not_after = std::chrono::hours(24)}});
    write({first(), second()});
  }
  void write(const std::vector<std::string>& urls, const std::string& tables = {}) {
    std::string list;
    for (const auto& url : urls) list += "\"" + url + "\", ";
    write_file(etc() / "identities.d/gateway.toml",
               "[server]\nconnect_timeout = \"2s\"\ntimeout = \"2s\"\nurls = [" + list + "]\ntrust_anchors = \"" +
                   Authorities::get().operator_ca.certificate.string() + "\"\n" + idevid_ + tables);
    load();
  }
  [[nodiscard]] std::string first() const { return server_->url("localhost"); }
  [[nodiscard]] std::string second() const { return second_->url("localhost"); }
  static std::size_t posts_at(const EstServer& server) {
    const auto requests = server.requests();
    return static_cast<std::size_t>(std::ranges::count(requests, std::string("POST"), &SeenRequest::method));
  }
  void expect_failure(Errc code) {
    const auto result = run(JobKind::enroll);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code) << result.error().sentence();
  }
  void expect_pending() {
    const auto result = run(JobKind::enroll);
    ASSERT_TRUE(result) << result.error().sentence();
    EXPECT_EQ(*result, JobResult::pending);
  }

  std::unique_ptr<EstServer> second_;
};

TEST_F(ADeviceWithSeveralServers, BeginsAtTheNextOneWhereTheFirstAnswersNoRequest) {
  for (const char* trouble : {"status-503", "status-500", "not-cms"}) {
    server_->misbehave(EstOperation::simpleenroll, misbehaviour(trouble));
    const auto result = run(JobKind::enroll);
    ASSERT_FALSE(result) << trouble;
    load();
    enroll();
    EXPECT_EQ(posts_at(*second_), 1U) << trouble;
    expect_usable_current();
    second_->forget();
    server_->behave();
    std::filesystem::remove_all(directory());
    load();
  }
}

TEST_F(ADeviceWithSeveralServers, GoesAroundAllOfThemWhereOneIsDeadAndAnotherAnswersNoRequest) {
  write({first(), "https://localhost:1", second()});
  server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-503"));
  expect_failure(Errc::server_unavailable);
  enroll();
  EXPECT_EQ(posts_at(*server_), 1U);
}

TEST_F(ADeviceWithSeveralServers, ComesBackToTheOneThatHasItsRequest) {
  server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-503"), 1);
  second_->misbehave(EstOperation::simpleenroll, misbehaviour("status-202"), 1);
  expect_failure(Errc::server_unavailable);
  expect_pending();
  second_->misbehave(EstOperation::simpleenroll, misbehaviour("status-503"), 1);
  expect_failure(Errc::server_unavailable);
  enroll();
  EXPECT_EQ(posts_at(*server_), 1U) << "the second one has accepted it";
  EXPECT_EQ(posts_at(*second_), 3U);
}

TEST_F(ADeviceWithSeveralServers, IsNotHeldByOneThatIsAlwaysBusy) {
  server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-503-with-time"));
  expect_pending();
  enroll();
  EXPECT_EQ(posts_at(*second_), 1U);
}

TEST_F(ADeviceWithSeveralServers, LooksFirstWhereItsCertificateCameFrom) {
  server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-503"));
  expect_failure(Errc::server_unavailable);
  enroll();
  server_->forget();
  second_->forget();
  ASSERT_TRUE(run(JobKind::refresh));
  EXPECT_THAT(server_->requests(), IsEmpty());
  EXPECT_EQ(second_->requests().size(), 1U);
}

TEST_F(ADeviceWithSeveralServers, GoesToTheNextOneWhereItsProxyCannotReachTheFirst) {
  const auto http = ProxyProcess::tinyproxy();
  const auto socks = ProxyProcess::microsocks({.user = "device", .password = "secret"});
  write_file(etc() / "password", "secret");
  std::filesystem::permissions(etc() / "password", std::filesystem::perms::owner_read);
  const std::string login = "user = \"device\"\npassword = \"" + (etc() / "password").string() + "\"\n";
  for (const auto& proxy :
       {"url = \"http://" + http.address() + "\"\n", "url = \"socks5://" + socks.address() + "\"\n" + login}) {
    write({"https://localhost:1", second()}, "[server.proxy]\n" + proxy);
    const auto result = run(JobKind::enroll, {.force = true});
    EXPECT_TRUE(result) << proxy << result.error().sentence();
  }
  EXPECT_THAT(server_->requests(), IsEmpty());
}

TEST_F(ADeviceWithSeveralServers, ShowsAProxyThatRefusesItsPasswordNoSecondTime) {
  const auto proxy = ProxyProcess::tinyproxy({.user = "device", .password = "secret"});
  write({first(), second()}, "[server.proxy]\nurl = \"http://" + proxy.address() + "\"\n");
  const auto result = run(JobKind::enroll);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::proxy_failed);
  EXPECT_THAT(result.error().reason, testing::Not(HasSubstr("and then")));
}

TEST_F(ADeviceWithSeveralServers, SaysWhatTheServerSaidThatCouldBeReached) {
  write({"https://localhost:1", second(), "https://localhost:2"});
  second_->misbehave(EstOperation::cacerts, Misbehaviour{.status = 403, .text = "not you"});
  const auto result = run(JobKind::enroll);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::server_unauthorized) << result.error().sentence();
  EXPECT_EQ(result.error().retry, Retry::later) << "the others may come back";
  for (const char* server : {"not you", "localhost:1/", "localhost:2/"})
    EXPECT_THAT(result.error().reason, HasSubstr(server));
}

TEST_F(ADeviceWithSeveralServers, GoesOnWhereTheWishesOfAServerAreLateOrTooLong) {
  write({first()});
  for (const char* trouble : {"oversized", "stall"}) {
    Misbehaviour odd = misbehaviour("oversized");
    if (std::string_view(trouble) == "stall") odd = Misbehaviour{.cut_after = 10, .ending = Ending::stall};
    server_->misbehave(EstOperation::csrattrs, odd, 1);
    const auto result = run(JobKind::enroll, {.force = true});
    EXPECT_TRUE(result) << trouble << ": " << result.error().sentence();
  }
}

}  // namespace
}  // namespace devid::test
