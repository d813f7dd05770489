// Servers that nobody has vouched for yet, one or several, at real EST servers.

#include <gmock/gmock.h>

#include "agent/identity/trust_store.h"
#include "tests/agent/identity/site.h"
#include "tests/support/certificate_of.h"

namespace devid::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

/// The profile names no anchors. Besides the operator's server there is one of another CA.
class ADeviceThatKnowsNobody : public Site {
 protected:
  ADeviceThatKnowsNobody() {
    auto& authorities = Authorities::get();
    static const TestCredential credential = authorities.pki.issue_server("other");
    other_ = std::make_unique<EstServer>(
        EstServerSpec{.certificate = credential.full_chain,
                      .key = credential.key,
                      .manufacturer_ca = authorities.manufacturer.certificate,
                      .issuer = {.certificate = authorities.other_ca.certificate, .key = authorities.other_ca.key}});
  }

  void write(const std::vector<std::string>& urls, const std::string& more = {}) {
    std::string list;
    for (const auto& url : urls) list += (list.empty() ? "\"" : ", \"") + url + "\"";
    write_file(etc() / "identities.d/gateway.toml",
               "[server]\nurls = [" + list + "]\n" + more + "\n" + idevid_ + "[renewal]\nprove = false\n");
    load();
  }
  void write_pinned(const std::string& fingerprint) { write({ours()}, "trust_fingerprint = \"" + fingerprint + "\""); }
  void expect_nobody_is_trusted() {
    const auto result = run(JobKind::renew);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::trust_missing) << result.error().sentence();
  }
  /// A renewal, and the TCP connections to our server that it took.
  std::size_t connections_of_renewal() {
    server_->forget();
    renew();
    return server_->connections();
  }
  /// The servers of which something is offered to the operator.
  [[nodiscard]] std::vector<std::string> offering() const {
    std::vector<std::string> all;
    for (const auto& anchor : status().pending_trust) all.push_back(anchor.server);
    return all;
  }
  [[nodiscard]] identity::TrustRecord record() const {
    return identity::TrustStore(identity::trust_file(directory())).record();
  }
  [[nodiscard]] std::string ours() const { return server_->url("localhost"); }
  [[nodiscard]] std::string theirs() const { return other_->url("localhost"); }
  static std::string our_fingerprint() {
    return certificate_of(Authorities::get().operator_ca.certificate_pem).fingerprint();
  }

  const std::string nowhere_ = "https://localhost:1";
  std::unique_ptr<EstServer> other_;
};

TEST_F(ADeviceThatKnowsNobody, MeetsAServerOnceWhoseFingerprintTheProfileNames) {
  write_pinned(our_fingerprint());
  enroll();
  EXPECT_EQ(server_->connections(), 2U) << "to meet it, and to enroll";
  EXPECT_EQ(observer_.traffic.handshakes, 2U);
  EXPECT_EQ(connections_of_renewal(), 1U);
  load();
  EXPECT_EQ(connections_of_renewal(), 1U) << "the next devidd knows it";
  EXPECT_THAT(record().accepted, IsEmpty()) << "no operator has said anything";
  EXPECT_THAT(record().pinned, ElementsAre(Field(&identity::ServerAnchor::server, HasSubstr(ours()))));
}

TEST_F(ADeviceThatKnowsNobody, TrustsWhatItHasMetNoLongerThanTheProfileNamesIt) {
  write_pinned(our_fingerprint());
  enroll();
  write_pinned(std::string(64, 'a'));
  expect_nobody_is_trusted();
  write({ours()});
  expect_nobody_is_trusted();
  write_pinned(our_fingerprint());
  EXPECT_EQ(connections_of_renewal(), 1U);
}

TEST_F(ADeviceThatKnowsNobody, MeetsEachOfTheServersThatItGoesTo) {
  write({nowhere_, ours()}, "trust_fingerprint = \"" + our_fingerprint() + "\"");
  enroll();
  ASSERT_EQ(record().pinned.size(), 1U);
  EXPECT_THAT(record().pinned[0].server, HasSubstr(ours()));
}

TEST_F(ADeviceThatKnowsNobody, TrustsNobodyWhereItCannotRememberWhom) {
  std::filesystem::create_directories(directory());
  // A loop of links is no damage that devid could mend.
  const auto file = identity::trust_file(directory());
  std::filesystem::create_symlink(file.filename(), file);
  write_pinned(our_fingerprint());
  const auto result = run(JobKind::enroll);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::storage_failed) << result.error().sentence();
  EXPECT_THAT(posted(), IsEmpty());
}

TEST_F(ADeviceThatKnowsNobody, GoesPastAServerThatNobodyHasAcceptedToOneThatSomebodyHas) {
  write({theirs(), ours()});
  const auto met = run(JobKind::enroll);
  ASSERT_FALSE(met);
  EXPECT_EQ(met.error().code, Errc::trust_missing);
  EXPECT_EQ(met.error().retry, Retry::after_operator);
  EXPECT_THAT(met.error().sentence(), HasSubstr(theirs()));
  EXPECT_THAT(met.error().reason, HasSubstr(ours()));
  EXPECT_THAT(offering(), ElementsAre(HasSubstr(theirs()), HasSubstr(ours())));

  ASSERT_TRUE(agent_->trust("gateway", our_fingerprint()));
  enroll();
  expect_usable_current();
  EXPECT_THAT(offering(), ElementsAre(HasSubstr(theirs()))) << "the operator can still accept it";
  EXPECT_THAT(
      observer_.notices,
      Contains(testing::AllOf(
          Field(&Notice::sentence, HasSubstr("goes on with another server: nobody has accepted yet that " + theirs())),
          Field(&Notice::fields, ElementsAre(Notice::Field{.name = "DEVID_ERROR", .value = "TrustMissing"})))));
  for (const auto& request : other_->requests()) {
    EXPECT_EQ(request.method, "GET");
    EXPECT_EQ(request.client, "");
  }
}

TEST_F(ADeviceThatKnowsNobody, SaysThatAServerIsToBeAcceptedWhereNoOtherCanBeReached) {
  for (const auto& urls : {std::vector{nowhere_, ours()}, std::vector{ours(), nowhere_}}) {
    write(urls);
    const auto result = run(JobKind::enroll, {.force = true});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::trust_missing);
    EXPECT_EQ(result.error().retry, Retry::later) << "the other one may come back";
    EXPECT_THAT(result.error().sentence(), HasSubstr("nobody has accepted yet that " + ours()));
    EXPECT_THAT(result.error().reason, HasSubstr(nowhere_ + "/"));
  }
  ASSERT_TRUE(agent_->trust("gateway", our_fingerprint()));
  enroll();
}

}  // namespace
}  // namespace devid::test
