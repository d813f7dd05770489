#include <gmock/gmock.h>

#include <cstdlib>

#include "agent/identity/trust_store.h"
#include "tests/agent/identity/site.h"
#include "tests/support/certificate_of.h"

namespace devid::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// EST servers of the operator's CA and of another one, and what a profile says of whom it trusts.
class AProfileThatTrusts : public Site {
 protected:
  AProfileThatTrusts() { EXPECT_EQ(setenv("SSL_CERT_FILE", (etc() / "system.pem").c_str(), 1), 0); }
  ~AProfileThatTrusts() override { unsetenv("SSL_CERT_FILE"); }

  /// A server whose certificate, and what it issues, are of this CA.
  static std::unique_ptr<EstServer> server_of(const std::string& name, std::uint16_t port = 0) {
    auto& authorities = Authorities::get();
    const auto& ca = authorities.pki.ca(name);
    const auto certificate = authorities.pki.issue_server(name);
    return std::make_unique<EstServer>(EstServerSpec{.certificate = certificate.full_chain,
                                                     .key = certificate.key,
                                                     .manufacturer_ca = authorities.manufacturer.certificate,
                                                     .issuer = {.certificate = ca.certificate, .key = ca.key},
                                                     .port = port});
  }
  void write(const EstServer& server, const std::string& trust, const std::string& tables = {}) {
    const auto& authorities = Authorities::get();
    write_file(etc() / "system.pem", authorities.operator_ca.certificate_pem + authorities.other_ca.certificate_pem);
    write_file(etc() / "identities.d/gateway.toml", "[server]\nurl = \"" + server.url("localhost") +
                                                        "\"\ntrust_anchors = \"" + trust + "\"\n" + idevid_ + tables);
    load();
  }
  void expect_refused(JobKind kind, Errc code, const std::string& hint) {
    const auto result = run(kind);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code) << result.error().sentence();
    EXPECT_THAT(result.error().hint, HasSubstr(hint));
  }
  [[nodiscard]] std::vector<pki::Certificate> anchors() const {
    return pki::read_certificates(as_bytes(current_files().at("trust-anchors.pem")))
        .value_or(std::vector<pki::Certificate>());
  }
  /// An operator has accepted the other CA for this server, once.
  void accept_other(const EstServer& server) {
    identity::TrustStore store(identity::trust_file(directory()));
    const std::string base = est::Endpoint::parse(server.url("localhost"))->base;
    ASSERT_TRUE(store.saw(base, {other_}, clock_.now()));
    ASSERT_TRUE(store.accept(other_.fingerprint(), base, clock_.now()));
    load();
  }

  const std::string operator_file_ = Authorities::get().operator_ca.certificate.string();
  pki::Certificate operator_ = certificate_of(Authorities::get().operator_ca.certificate_pem);
  pki::Certificate other_ = certificate_of(Authorities::get().other_ca.certificate_pem);
};

TEST_F(AProfileThatTrusts, TheSystemMayMoveToAServerOfAnotherCa) {
  write(*server_, "system");
  enroll();
  EXPECT_THAT(anchors(), ElementsAre(operator_));
  const auto elsewhere = server_of("other");
  write(*elsewhere, "system");
  const auto moved = run(JobKind::enroll, {.force = true});
  ASSERT_TRUE(moved) << moved.error().sentence();
  EXPECT_THAT(anchors(), ElementsAre(other_));
  expect_usable_current();
}

TEST_F(AProfileThatTrusts, TheSystemBelievesNoOtherCaOfTheSameServerUnlessSomebodyInsists) {
  write(*server_, "system");
  enroll();
  const std::uint16_t port = server_->port();
  server_.reset();
  server_ = server_of("other", port);
  write(*server_, "system", "[renewal]\nenroll_again = false\n");
  const auto renewed = run(JobKind::renew);
  ASSERT_FALSE(renewed);
  EXPECT_THAT(anchors(), ElementsAre(operator_));
  const auto insisted = run(JobKind::enroll, {.force = true});
  ASSERT_TRUE(insisted) << insisted.error().sentence();
  EXPECT_THAT(anchors(), ElementsAre(other_));
}

TEST_F(AProfileThatTrusts, ACaByNameHearsNoOperator) {
  const auto strange = server_of("other");
  write(*strange, operator_file_);
  accept_other(*strange);
  expect_refused(JobKind::enroll, Errc::tls_untrusted, "");
}

TEST_F(AProfileThatTrusts, AnIssuerByNameTakesNoOtherThatAnOperatorAcceptedForTheServer) {
  const auto strange = server_of("other");
  write_file(etc() / "identities.d/gateway.toml", "[server]\nurl = \"" + strange->url("localhost") + "\"\n" + idevid_ +
                                                      "[certificate]\ntrust_anchors = \"" + operator_file_ + "\"\n");
  load();
  accept_other(*strange);
  expect_refused(JobKind::enroll, Errc::certificate_untrusted, "[certificate]");
}

TEST_F(AProfileThatTrusts, ANewRootThatCannotBeRememberedGoesOnWithoutMemory) {
  std::filesystem::create_directories(directory());
  const auto file = identity::trust_file(directory());
  std::filesystem::create_symlink(file.filename(), file);  // a loop
  write(*server_, operator_file_);
  enroll();
  EXPECT_THAT(observer_.notices, testing::Contains(testing::Field(
                                     &Notice::sentence, HasSubstr("goes on with what cannot be remembered"))));
}

}  // namespace
}  // namespace devid::test
