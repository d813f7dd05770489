// Looks at the CA between renewals, at a real EST server: what becomes of new trust anchors, of such as do not hold,
// and of a look that cannot be had.

#include "agent/identity/refresh.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <csignal>

#include "agent/identity/trust_store.h"
#include "tests/agent/identity/site.h"
#include "tests/support/changing_ca.h"

namespace devid::test {
namespace {

using pki::Certificate;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// An enrolled device whose CA "/CN=Root" has changed its key, or will: "old", then "new".
class AnEnrolledDeviceWithAChangingCa : public Site, protected ChangingCa {
 protected:
  AnEnrolledDeviceWithAChangingCa() {
    pki.make_ca("issuing", "old");
    old_server_ = pki.issue_server("old");
    serve("issuing", old_server_, {ca("old")});
    trust({ca("old")});
    write_gateway();
    enroll();
    server_->forget();
  }

  /// The server that issues by one CA and offers these certificates besides, in place of the one that is there.
  void serve(const std::string& issuer, const TestCredential& certificate, const std::vector<Certificate>& offered) {
    const std::uint16_t port = server_->port();
    server_.reset();
    write_file(etc() / "offered.pem", pem_of(offered));
    server_ = std::make_unique<EstServer>(
        EstServerSpec{.certificate = certificate.full_chain,
                      .key = certificate.key,
                      .manufacturer_ca = Authorities::get().manufacturer.certificate,
                      .issuer = {.certificate = pki.ca(issuer).certificate, .key = pki.ca(issuer).key},
                      .issuer_chain = etc() / "offered.pem",
                      .port = port});
  }
  void offer(const std::vector<Certificate>& offered) { serve("issuing", old_server_, offered); }
  /// What the operator has put into the file of anchors.
  void trust(const std::vector<Certificate>& anchors) { write_file(etc() / "anchors.pem", pem_of(anchors)); }
  void write_gateway(const std::string& more = {}, const std::string& top = {}) {
    write_file(etc() / "identities.d/gateway.toml", top + "[server]\nurl = \"" + server_->url("localhost") +
                                                        "\"\ntrust_anchors = \"" + (etc() / "anchors.pem").string() +
                                                        "\"\n" + idevid_ + more);
    load();
  }
  static std::string pem_of(const std::vector<Certificate>& certificates) {
    std::string pem;
    for (const auto& each : certificates) pem += each.pem();
    return pem;
  }

  void look() {
    observer_.notices.clear();
    const auto looked = run(JobKind::refresh);
    ASSERT_TRUE(looked) << looked.error().sentence();
    ASSERT_EQ(*looked, JobResult::done);
  }
  /// The look fails, and all that there was is there.
  void expect_no_look(Errc code, const std::string& text) {
    const auto before = current_files();
    const auto looked = run(JobKind::refresh);
    ASSERT_FALSE(looked) << text;
    EXPECT_EQ(code_name(looked.error().code), code_name(code)) << looked.error().sentence();
    EXPECT_THAT(looked.error().sentence(), HasSubstr(text));
    EXPECT_EQ(current_files(), before);
    EXPECT_EQ(status().state, identity::State::valid);
    EXPECT_EQ(status().attempts, 0U);
  }
  [[nodiscard]] std::vector<std::string> sentences() const {
    std::vector<std::string> all;
    for (const Notice& notice : observer_.notices) all.push_back(notice.sentence);
    return all;
  }
  [[nodiscard]] std::vector<Certificate> anchors() const {
    return certificates_of(current_files().at("trust-anchors.pem"));
  }

  TestCredential old_server_;
};

TEST_F(AnEnrolledDeviceWithAChangingCa, TakesInTheNewRootThatAValidLinkBringsAndKeepsItsKeyAndCertificate) {
  const auto before = current_files();
  offer({ca("old"), ca("new"), link("new", "old")});
  look();
  auto after = current_files();
  EXPECT_EQ(status().generation, 2U);
  EXPECT_THAT(anchors(), ElementsAre(ca("old"), ca("new")));
  for (const char* file : {"token-key.pem", "certificate.pem", "chain.pem"}) EXPECT_EQ(after[file], before.at(file));
  EXPECT_EQ(hardware_.made_keys(), 1U);
  EXPECT_THAT(posted(), IsEmpty());
  EXPECT_THAT(observer_.phases, ElementsAre("connecting", "ca-certificates", "installing"));
  EXPECT_THAT(sentences(), ElementsAre(HasSubstr("the CA has a new root, CN=Root, which an old one vouches for")));
  expect_usable_current();

  load();  // and again by the next devidd
  look();
  EXPECT_EQ(status().generation, 2U) << "once";
  EXPECT_THAT(sentences(), IsEmpty());
}

TEST_F(AnEnrolledDeviceWithAChangingCa, RenewsAtAServerOfTheNewRootAlone) {
  offer({ca("old"), ca("new"), link("new", "old")});
  look();
  const auto new_server = pki.issue_server("new");
  serve("issuing", new_server, {ca("new")});
  renew();
  EXPECT_EQ(current_files().at("chain.pem"), pki.ca("issuing").certificate_pem);
  pki.make_ca("new issuing", "new");
  serve("new issuing", new_server, {ca("new")});
  ASSERT_TRUE(run(JobKind::enroll, {.force = true}));
  EXPECT_EQ(current_files().at("chain.pem"), pki.ca("new issuing").certificate_pem);
  expect_usable_current();
}

TEST_F(AnEnrolledDeviceWithAChangingCa, ChangesNothingForALinkThatDoesNotHoldAndSaysSo) {
  const auto before = current_files();
  const auto generation = std::filesystem::read_symlink(directory() / "current");
  auto expired = root_spec();
  expired.not_before = clock_.now() - std::chrono::hours(48);
  expired.not_after = clock_.now() - std::chrono::hours(24);
  const std::vector<std::vector<Certificate>> bad = {{ca("old"), ca("new")},                         // no link at all
                                                     {ca("old"), ca("new"), link("new", "newest")},  // by somebody else
                                                     {ca("old"), ca("new"), link("newest", "old")},  // for another key
                                                     {ca("old"), ca("new"), link("new", "old", expired)}};
  for (const auto& offered : bad) {
    offer(offered);
    look();
    EXPECT_EQ(current_files(), before);
    EXPECT_EQ(std::filesystem::read_symlink(directory() / "current"), generation);
    EXPECT_THAT(sentences(),
                ElementsAre(AllOf(HasSubstr("the CA offers what is not trusted"), HasSubstr(ca("new").fingerprint()))));
  }
  EXPECT_THAT(identity::TrustStore(identity::trust_file(directory())).record().learned, IsEmpty());
  // One that does not hold does not spoil one that does.
  offer({ca("newest"), ca("new"), link("new", "old")});
  look();
  EXPECT_THAT(anchors(), ElementsAre(ca("old"), ca("new")));
}

TEST_F(AnEnrolledDeviceWithAChangingCa, SaysNoMoreThanEightOfWhatIsNotTrusted) {
  std::vector<Certificate> strangers;
  for (int i = 0; i < 10; ++i)
    strangers.push_back(certificate_of(pki.make_ca("stranger " + std::to_string(i)).certificate_pem));
  strangers.push_back(ca("old"));
  offer(strangers);
  look();
  ASSERT_EQ(sentences().size(), 1U);
  EXPECT_THAT(sentences()[0], HasSubstr("10 in all"));
  std::size_t said = 0;
  for (int i = 0; i < 10; ++i)
    said += sentences()[0].find("CN=stranger " + std::to_string(i)) == std::string::npos ? 0U : 1U;
  EXPECT_EQ(said, 8U);
}

TEST_F(AnEnrolledDeviceWithAChangingCa, MakesNoGenerationOfAnchorsInAnotherOrder) {
  trust({ca("old"), ca("newest")});
  look();
  EXPECT_EQ(status().generation, 2U);
  trust({ca("newest"), ca("old")});
  look();
  EXPECT_EQ(status().generation, 2U);
}

TEST_F(AnEnrolledDeviceWithAChangingCa, BuildsTheChainAnewToOtherAnchors) {
  ASSERT_EQ(current_files().at("chain.pem"), pki.ca("issuing").certificate_pem);
  trust({ca("issuing"), ca("old")});
  look();
  EXPECT_EQ(current_files().at("chain.pem"), "") << "the issuing CA is an anchor now";
  EXPECT_EQ(current_files().at("certificate-chain.pem"), current_files().at("certificate.pem"));
  trust({ca("old")});
  look();
  EXPECT_EQ(current_files().at("chain.pem"), pki.ca("issuing").certificate_pem) << "of /cacerts";
  EXPECT_EQ(status().generation, 3U);
  expect_usable_current();
}

TEST_F(AnEnrolledDeviceWithAChangingCa, KeepsItsAnchorsWhereOthersDoNotVouchForItsCertificate) {
  serve("issuing", pki.issue_server("newest"), {ca("newest")});
  trust({ca("newest")});
  // Whether it is revoked is not asked: the anchors themselves are judged.
  write_gateway("[certificate]\nrevocation = \"off\"\n");
  expect_no_look(Errc::certificate_untrusted, "use the CA's new trust anchors");
}

TEST_F(AnEnrolledDeviceWithAChangingCa, TakesInTheNewRootAlthoughNobodySaysWhetherItsCertificateIsRevoked) {
  write_gateway("[certificate]\nrevocation = \"hard\"\n");
  expect_no_look(Errc::revocation_unknown, "whether the certificate of");
  offer({ca("old"), ca("new"), link("new", "old")});
  const auto looked = run(JobKind::refresh);
  ASSERT_FALSE(looked);
  EXPECT_EQ(looked.error().code, Errc::revocation_unknown) << looked.error().sentence();
  EXPECT_EQ(status().generation, 2U);
  EXPECT_THAT(anchors(), ElementsAre(ca("old"), ca("new")));
}

TEST_F(AnEnrolledDeviceWithAChangingCa, ShowsItsCurrentCertificateAndNothingOfTheFactory) {
  look();
  ASSERT_EQ(server_->requests().size(), 1U);
  EXPECT_THAT(server_->requests()[0].target, HasSubstr("/cacerts"));
  EXPECT_EQ(server_->requests()[0].client, "serialNumber=SN-17");
}

TEST_F(AnEnrolledDeviceWithAChangingCa, AsksTheServerFirstThatIssuedItsCertificate) {
  const EstServer other({.certificate = old_server_.full_chain,
                         .key = old_server_.key,
                         .manufacturer_ca = Authorities::get().manufacturer.certificate,
                         .issuer = {.certificate = pki.ca("issuing").certificate, .key = pki.ca("issuing").key}});
  write_file(etc() / "identities.d/gateway.toml", "[server]\nurls = [\"" + other.url("localhost") + "\", \"" +
                                                      server_->url("localhost") + "\"]\ntrust_anchors = \"" +
                                                      (etc() / "anchors.pem").string() + "\"\n" + idevid_);
  load();
  look();
  EXPECT_EQ(other.connections(), 0U);
  EXPECT_EQ(server_->connections(), 1U);
}

TEST_F(AnEnrolledDeviceWithAChangingCa, StopsBeforeItConnectsWhereTheJobIsCancelled) {
  for (std::size_t phases : {0U, 1U}) {
    observer_.cancel_after = phases;
    expect_no_look(Errc::cancelled, "the job was cancelled");
    EXPECT_EQ(observer_.phases.size(), phases);
    EXPECT_EQ(server_->connections(), 0U);
  }
}

TEST_F(AnEnrolledDeviceWithAChangingCa, FailsToLookWhereItsKeyCannotBeOpened) {
  hardware_.fail_each(Operation::open_key, {.code = Errc::token_unreachable, .retry = Retry::later, .what = "not now"});
  expect_no_look(Errc::token_unreachable, "open the key of the current credential");
  EXPECT_EQ(server_->connections(), 0U);
  hardware_.recover();
  hardware_.fail_each(Operation::sign, {.code = Errc::token_unreachable, .retry = Retry::later, .what = "not now"});
  expect_no_look(Errc::token_unreachable, "not now");
}

TEST_F(AnEnrolledDeviceWithAChangingCa, FailsToLookWhereTheTokenOfItsKeyIsNoMore) {
  write_file(etc() / "devid.toml", "[pkcs11.hsm]\nuri = \"pkcs11:token=hsm\"\n");
  write_gateway({}, "token = \"hsm\"\n");
  const auto enrolled = run(JobKind::enroll, {.force = true});
  ASSERT_TRUE(enrolled) << enrolled.error().sentence();
  write_file(etc() / "devid.toml", "");
  write_gateway();
  expect_no_look(Errc::config_invalid, "there is no token 'hsm'");
}

TEST_F(AnEnrolledDeviceWithAChangingCa, KeepsItsAnchorsWhereTheDiskIsFull) {
  offer({ca("old"), ca("new"), link("new", "old")});
  const auto limit = [](rlim_t bytes) {
    rlimit all{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &all), 0);
    all.rlim_cur = std::min(bytes, all.rlim_max);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &all), 0);
  };
  auto* const before = std::signal(SIGXFSZ, SIG_IGN);
  observer_.at_phase = [&](Phase phase) {
    if (phase == Phase::installing) limit(100);
  };
  expect_no_look(Errc::storage_failed, "refresh identity 'gateway'");
  limit(RLIM_INFINITY);
  std::signal(SIGXFSZ, before);
  observer_.at_phase = nullptr;
  look();
  EXPECT_THAT(anchors(), ElementsAre(ca("old"), ca("new")));
}

}  // namespace
}  // namespace devid::test
