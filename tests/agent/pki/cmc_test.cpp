#include "agent/pki/cmc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/certificate_of.h"
#include "tests/support/command.h"
#include "tests/support/test_pki.h"

namespace devid::pki {
namespace {

using test::certificate_of;
using testing::HasSubstr;

constexpr const char* pki_data = "1.3.6.1.5.5.7.12.2";
constexpr const char* pki_response = "1.3.6.1.5.5.7.12.3";

std::string hex(BytesView bytes) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string text;
  for (const std::byte byte : bytes)
    text.append({digits[std::to_integer<unsigned>(byte) >> 4U], digits[std::to_integer<unsigned>(byte) & 15U]});
  return text;
}

/// What a response says, in the words of `openssl asn1parse -genconf`.
struct Said {
  std::vector<std::string> statuses;  ///< sections of a CMCStatusInfo
  std::string status_type = "1.3.6.1.5.5.7.7.25";
  std::string nonce;        ///< hexadecimal; empty: none
  std::string transaction;  ///< decimal; empty: none
  std::string more;         ///< lines of the section of controls, then other sections
};

class AFullPkiResponse : public testing::Test {
 protected:
  AFullPkiResponse() {
    pki.make_ca("root");
    pki.make_ca("issuing", "root");
    pki.make_ca("stranger");
    leaf = pki.issue({.issuer = "issuing"});
    request.nonce = to_bytes(as_bytes("0123456789abcdef"));
    request.transaction = "4711";
    anchors = {certificate_of(pki.ca("root").certificate_pem)};
  }

  Said said(std::vector<std::string> statuses) const {
    return {.statuses = std::move(statuses), .nonce = hex(request.nonce), .transaction = "4711"};
  }

  /// PKIResponse, DER.
  std::string data(const Said& what) const {
    std::string controls = "[controls]\n";
    std::string sections;
    const auto add = [&](const std::string& name, const std::string& type, const std::string& value) {
      controls += name + "=SEQUENCE:" + name + "\n";
      sections += "[" + name + "]\nid=INTEGER:1\ntype=OID:" + type + "\nvalues=SET:" + name + "_values\n[" + name +
                  "_values]\nvalue=" + value + "\n";
    };
    for (std::size_t i = 0; i < what.statuses.size(); ++i) {
      const std::string name = "status" + std::to_string(i);
      add(name, what.status_type, "SEQUENCE:" + name + "_info");
      sections += "[" + name + "_info]\n" + what.statuses[i] + "\n";
    }
    if (!what.nonce.empty()) add("nonce", "1.3.6.1.5.5.7.7.7", "FORMAT:HEX,OCT:" + what.nonce);
    if (!what.transaction.empty()) add("transaction", "1.3.6.1.5.5.7.7.5", "INTEGER:" + what.transaction);
    const auto conf = pki.directory() / "response.cnf";
    std::ofstream(conf) << "asn1=SEQUENCE:response\n[response]\ncontrols=SEQUENCE:controls\ncms=SEQUENCE:none\n"
                           "others=SEQUENCE:none\n[none]\n[bodies]\nid=INTEGER:3\n"
                        << controls << what.more << "\n"
                        << sections;
    test::output_of({.argv = {"openssl", "asn1parse", "-genconf", conf, "-noout", "-out", pki.directory() / "der"}});
    return test::output_of({.argv = {"cat", pki.directory() / "der"}});
  }

  std::string sign(const std::string& content, const test::TestCredential& signer, const char* type = pki_response,
                   const std::vector<std::string>& more = {}) const {
    const bool is_issuer = signer.certificate == pki.ca("issuing").certificate;  // nothing may be there twice
    std::vector<std::string> argv = {
        "openssl",          "cms",    "-sign",          "-nodetach", "-binary",
        "-outform",         "DER",    "-econtent_type", type,        "-signer",
        signer.certificate, "-inkey", signer.key,       "-certfile", is_issuer ? leaf.certificate : leaf.full_chain};
    argv.insert(argv.end(), more.begin(), more.end());
    return test::output_of({.argv = std::move(argv), .input = content});
  }

  /// Certificates that may speak for the CA "issuing", for the key of the leaf. So many by one `openssl ca`.
  std::vector<std::filesystem::path> registration_authorities(std::size_t count) const {
    const auto place = pki.directory() / "authorities";
    std::filesystem::create_directory(place);
    for (const char* file : {"index", "index.attr"}) std::ofstream(place / file);
    std::ofstream(place / "serial") << "0100\n";
    std::ofstream(place / "conf") << "[ca]\ndefault_ca=this\n[this]\ndatabase=" << (place / "index").string()
                                  << "\nserial=" << (place / "serial").string() << "\nnew_certs_dir=" << place.string()
                                  << "\ndefault_md=sha256\ndefault_days=9\npolicy=policy\nunique_subject=no\n"
                                     "x509_extensions=extensions\n[policy]\ncommonName=supplied\n[extensions]\n"
                                     "extendedKeyUsage=1.3.6.1.5.5.7.3.28\n";
    const std::string csr = place / "request";
    test::output_of({.argv = {"openssl", "req", "-new", "-key", leaf.key, "-subj", "/CN=authority", "-out", csr}});
    std::vector<std::string> argv = {"openssl",  "ca",
                                     "-batch",   "-notext",
                                     "-config",  place / "conf",
                                     "-cert",    pki.ca("issuing").certificate,
                                     "-keyfile", pki.ca("issuing").key,
                                     "-out",     "/dev/null",
                                     "-infiles"};
    argv.insert(argv.end(), count, csr);
    test::output_of({.argv = std::move(argv)});
    std::vector<std::filesystem::path> made;
    for (const auto& each : std::filesystem::directory_iterator(place))
      if (each.path().extension() == ".pem") made.push_back(each.path());
    EXPECT_EQ(made.size(), count);
    return made;
  }

  Result<CmcAnswer> read(const std::string& der, Time now = SystemClock().now()) const {
    return read_cmc_response(as_bytes(der), request, anchors, now);
  }
  Result<CmcAnswer> read(const Said& what) const { return read(sign(data(what), pki.ca("issuing"))); }

  void expect_error(const Result<CmcAnswer>& answer, Errc code, const std::string& reason) const {
    ASSERT_FALSE(answer) << reason;
    EXPECT_EQ(answer.error().code, code) << answer.error().sentence();
    EXPECT_THAT(answer.error().sentence(), HasSubstr(reason));
  }

  test::TestPki pki;
  test::TestCredential leaf;
  CmcRequest request;
  std::vector<Certificate> anchors;
};

const std::string success = "status=INTEGER:0\nbodies=SEQUENCE:bodies";

TEST_F(AFullPkiResponse, GivesTheCertificatesOfASuccess) {
  for (const char* type : {"1.3.6.1.5.5.7.7.1", "1.3.6.1.5.5.7.7.25"}) {
    Said what = said({success});
    what.status_type = type;
    const auto answer = read(what);
    ASSERT_TRUE(answer) << answer.error().sentence();
    EXPECT_THAT(std::get<CmcIssued>(*answer).certificates, testing::Contains(certificate_of(leaf.certificate_pem)));
  }
  EXPECT_TRUE(read(said({})));
  EXPECT_TRUE(read(said({success, success + "\ntext=UTF8:welcome"})));
  Said quiet = said({success});
  quiet.transaction.clear();
  EXPECT_TRUE(read(quiet));
}

TEST_F(AFullPkiResponse, MayBeACertsOnlyMessage) {
  const auto answer = read(pki.certs_only({leaf.certificate_pem}));
  ASSERT_TRUE(answer) << answer.error().sentence();
  EXPECT_EQ(std::get<CmcIssued>(*answer).certificates.size(), 1U);
}

TEST_F(AFullPkiResponse, IsARefusalThatSaysWhy) {
  const std::string failed = "status=INTEGER:2\nbodies=SEQUENCE:bodies\n";
  const std::vector<std::tuple<std::string, std::string, Retry>> table = {
      {failed, "failed", Retry::after_operator},
      {failed + "fail=INTEGER:7", "failed, badIdentity", Retry::after_operator},
      {failed + "text=UTF8:no such device\nfail=INTEGER:0", "failed, badAlg: no such device", Retry::after_operator},
      {failed + "fail=INTEGER:12", "failed, tryLater", Retry::later},
      {failed + "fail=INTEGER:11", "failed, internalCAError", Retry::later},
      {failed + "fail=INTEGER:99", "failed, failInfo 99", Retry::after_operator},
      {failed + "fail=INTEGER:0xFFFFFFFFFFFFFFFFFF", "failed, a number that is too large", Retry::after_operator},
      {failed + "more=IMPLICIT:1,SEQUENCE:bodies", "failed, extendedFailInfo", Retry::after_operator},
      {"status=INTEGER:4\nbodies=SEQUENCE:bodies", "noSupport", Retry::after_operator},
      {"status=INTEGER:5\nbodies=SEQUENCE:bodies", "confirmRequired", Retry::after_operator},
      {"status=INTEGER:6\nbodies=SEQUENCE:bodies", "popRequired", Retry::after_operator},
      {"status=INTEGER:7\nbodies=SEQUENCE:bodies", "partial", Retry::after_operator},
  };
  for (const auto& [status, reason, retry] : table) {
    const auto answer = read(said({success, status}));
    ASSERT_FALSE(answer) << reason;
    EXPECT_EQ(answer.error().code, Errc::server_refused) << answer.error().sentence();
    EXPECT_EQ(answer.error().reason, reason);
    EXPECT_EQ(answer.error().retry, retry) << reason;
  }
}

TEST_F(AFullPkiResponse, CannotPrintEscapeSequencesAtThePerson) {
  const auto answer = read(said({"status=INTEGER:2\nbodies=SEQUENCE:bodies\ntext=UTF8:\x1b]0;owned\x07 done"}));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().reason, "failed: \\x1b]0;owned\\x07 done");
  const auto waiting = read(said({"status=INTEGER:3\nbodies=SEQUENCE:bodies\ntext=UTF8:\x1b[2J"}));
  ASSERT_TRUE(waiting);
  EXPECT_EQ(std::get<CmcPending>(*waiting).text, "\\x1b[2J");
}

TEST_F(AFullPkiResponse, MayAskToComeAgain) {
  using std::chrono::hours;
  const Time now = std::chrono::sys_days(std::chrono::year(2026) / 11 / 25);
  const auto pending = [&](const std::string& time) {
    return "status=INTEGER:3\nbodies=SEQUENCE:bodies\ntext=UTF8:wait\npend=SEQUENCE:pend_" + time;
  };
  const std::vector<std::pair<std::string, Seconds>> table = {
      {"20261125010000Z", hours(1)},
      {"20261124000000Z", Seconds(1)},
      {"20991231235959Z", hours(24 * 30)},
  };
  pki.make_ca("old", {.subject = "/CN=old",
                      .basic_constraints = "critical,CA:TRUE",
                      .key_usage = "critical,keyCertSign",
                      .extended_key_usage = "",
                      .not_before = now - hours(24)});
  anchors.push_back(certificate_of(pki.ca("old").certificate_pem));
  for (const auto& [time, wait] : table) {
    Said what = said({pending(time)});
    what.more = "[pend_" + time + "]\ntoken=OCT:17\ntime=GENTIME:" + time;
    const auto answer = read(sign(data(what), pki.ca("old")), now);
    ASSERT_TRUE(answer) << answer.error().sentence();
    EXPECT_EQ(std::get<CmcPending>(*answer).retry_after, wait) << time;
    EXPECT_EQ(std::get<CmcPending>(*answer).text, "wait");
  }
  const auto answer = read(said({"status=INTEGER:3\nbodies=SEQUENCE:bodies"}));
  ASSERT_TRUE(answer) << answer.error().sentence();
  EXPECT_EQ(std::get<CmcPending>(*answer).retry_after, Seconds(0));
}

TEST_F(AFullPkiResponse, MustBelongToTheRequest) {
  Said what = said({success});
  what.nonce = hex(as_bytes("fedcba9876543210"));
  expect_error(read(what), Errc::answer_malformed, "nonce is not ours");
  what.nonce.clear();
  expect_error(read(what), Errc::answer_malformed, "nonce is not ours");
  what = said({success});
  what.transaction = "4712";
  expect_error(read(what), Errc::answer_malformed, "transaction is not ours");
  what = said({"status=INTEGER:3\nbodies=SEQUENCE:bodies"});
  what.nonce.clear();
  expect_error(read(what), Errc::answer_malformed, "nonce is not ours");
}

TEST_F(AFullPkiResponse, MayRefuseARequestThatWasNotRead) {
  Said what = said({"status=INTEGER:2\nbodies=SEQUENCE:bodies\nfail=INTEGER:2"});
  what.nonce.clear();
  what.transaction.clear();
  expect_error(read(what), Errc::server_refused, "failed, badRequest");
  what.nonce = "00";
  expect_error(read(what), Errc::answer_malformed, "nonce is not ours");
}

TEST_F(AFullPkiResponse, MustBeSignedBySomebodyWhoSpeaksForTheCa) {
  const std::string good = data(said({success}));
  const auto signed_by = [&](const std::string& issuer, const std::string& usage) {
    return read(sign(good, pki.issue({.issuer = issuer, .extended_key_usage = usage})));
  };
  EXPECT_TRUE(signed_by("issuing", "1.3.6.1.5.5.7.3.27"));
  EXPECT_TRUE(signed_by("issuing", "serverAuth,1.3.6.1.5.5.7.3.28"));
  EXPECT_TRUE(signed_by("root", "1.3.6.1.5.5.7.3.28"));
  for (const char* usage : {"clientAuth", "serverAuth", "anyExtendedKeyUsage", "", "DER:30000500", "DER:3000"})
    expect_error(signed_by("issuing", usage), Errc::certificate_untrusted,
                 "may not speak for one: its certificate is not for cmcCA or cmcRA");
  expect_error(signed_by("stranger", ""), Errc::certificate_untrusted, "no issuer is known");
  expect_error(read(sign(good, pki.ca("stranger"))), Errc::certificate_untrusted, "no issuer is known");
  const auto old = pki.issue(
      {.issuer = "root", .extended_key_usage = "", .not_after = SystemClock().now() - std::chrono::minutes(1)});
  expect_error(read(sign(good, old)), Errc::certificate_not_valid_now, "expired");
}

TEST_F(AFullPkiResponse, MustBeSignedByAllOfItsSigners) {
  const std::string good = data(said({success}));
  const auto stranger = pki.ca("stranger");
  const auto both =
      sign(good, pki.ca("issuing"), pki_response, {"-signer", stranger.certificate, "-inkey", stranger.key});
  expect_error(read(both), Errc::certificate_untrusted, "no issuer is known");
}

TEST_F(AFullPkiResponse, HoldsNoMoreThan64CertificatesAndIsSignedByNoMoreThanEight) {
  const std::string good = data(said({success}));
  const std::vector<std::filesystem::path> many = registration_authorities(65);
  const auto signer = [&](std::size_t i) { return test::TestCredential{.certificate = many[i], .key = leaf.key}; };
  // OpenSSL adds the signer's.
  for (const std::size_t count : {63U, 64U}) {
    const auto more = pki.directory() / "more.pem";
    std::ofstream all(more);
    all << pki.ca("issuing").certificate_pem;
    for (std::size_t i = 1; i < count; ++i) all << std::ifstream(many[i]).rdbuf();
    all.close();
    const auto answer = read(sign(good, signer(0), pki_response, {"-certfile", more}));
    EXPECT_EQ(answer.has_value(), count == 63U);
    if (!answer) expect_error(answer, Errc::answer_malformed, "more than 64 certificates");
  }
  std::vector<std::string> others;
  for (std::size_t i = 1; i < 8; ++i) others.insert(others.end(), {"-signer", many[i], "-inkey", leaf.key});
  const auto eight = read(sign(good, signer(0), pki_response, others));
  EXPECT_TRUE(eight) << eight.error().sentence();
  others.insert(others.end(), {"-signer", many[8], "-inkey", leaf.key});
  expect_error(read(sign(good, signer(0), pki_response, others)), Errc::answer_malformed, "more than 8 signers");
}

TEST_F(AFullPkiResponse, MustCarryAGoodSignature) {
  std::string der = sign(data(said({success})), pki.ca("issuing"));
  der[der.find("4711") == std::string::npos ? der.find("0123456789abcdef") : der.find("4711")] ^= 1;
  expect_error(read(der), Errc::answer_malformed, "signature does not hold");
  expect_error(read(sign(data(said({success})), pki.ca("issuing"), pki_response, {"-md", "sha1"})),
               Errc::answer_malformed, "too weak");
  expect_error(read(sign(data(said({success})), pki.ca("issuing"), pki_response, {"-nocerts"})), Errc::answer_malformed,
               "does not hold");
}

TEST_F(AFullPkiResponse, MustBeOne) {
  const auto& ca = pki.ca("issuing");
  const std::string good = data(said({success}));
  expect_error(read(sign(good, ca, pki_data)), Errc::answer_malformed, "no PKIResponse");
  expect_error(read(sign(good, ca, "1.2.840.113549.1.7.1")), Errc::answer_malformed, "no PKIResponse");
  expect_error(read(sign("garbage", ca)), Errc::answer_malformed, "cannot read");
  expect_error(read(sign(good + '\0', ca)), Errc::answer_malformed, "cannot read");
  expect_error(read(sign(good, ca) + '\0'), Errc::answer_malformed, "something follows");
  expect_error(read(""), Errc::answer_malformed, "cannot read");
  expect_error(read(std::string(300'000, '0')), Errc::answer_malformed, "longer than");
  expect_error(read(test::output_of({.argv = {"openssl", "cms", "-data_create", "-outform", "DER"}, .input = good})),
               Errc::answer_malformed, "no CMS SignedData");
  std::string nested(3000, '\x30');
  for (std::size_t i = 1; i < nested.size(); i += 2) nested[i] = '\x80';
  expect_error(read(nested), Errc::answer_malformed, "cannot read");
}

TEST_F(AFullPkiResponse, MustHaveControlsAsTheyMustBe) {
  const std::vector<std::string> bad_statuses = {
      "status=INTEGER:1\nbodies=SEQUENCE:bodies",
      "status=INTEGER:8\nbodies=SEQUENCE:bodies",
      "status=INTEGER:0",
      "status=UTF8:0\nbodies=SEQUENCE:bodies",
      "status=INTEGER:0\nbodies=SEQUENCE:bodies\ntext=OCT:x\nother=INTEGER:1",
      "status=INTEGER:3\nbodies=SEQUENCE:bodies\npend=SEQUENCE:bodies",
  };
  for (const auto& bad : bad_statuses) expect_error(read(said({bad})), Errc::answer_malformed, "");
  expect_error(read(said(std::vector<std::string>(17, success))), Errc::answer_malformed, "more than 16 statuses");
  Said what = said({success});
  what.more = "nonce2=SEQUENCE:nonce\n";
  expect_error(read(what), Errc::answer_malformed, "several recipient nonces");
  what.more = "transaction2=SEQUENCE:transaction\n";
  expect_error(read(what), Errc::answer_malformed, "several transaction");
  what.more = "unknown=SEQUENCE:unknown\n[unknown]\nid=INTEGER:9\ntype=OID:1.2.3.4\nvalues=SET:bodies\n";
  EXPECT_TRUE(read(what));
}

TEST_F(AFullPkiResponse, NeverCrashesWhenItIsCutOrDamaged) {
  const std::string der = sign(data(said({success})), pki.ca("issuing"));
  for (std::size_t i = 0; i < der.size(); ++i) {
    EXPECT_FALSE(read(der.substr(0, i))) << i;
    if (i % 4 != 0) continue;
    std::string damaged = der;
    damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ 0x21U);
    static_cast<void>(read(damaged));
  }
}

}  // namespace
}  // namespace devid::pki
