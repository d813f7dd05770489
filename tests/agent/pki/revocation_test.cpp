#include "agent/pki/revocation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "agent/pki/crl.h"
#include "agent/pki/ocsp.h"
#include "tests/support/certificate_of.h"
#include "tests/support/test_revocation.h"

namespace devid::pki {
namespace {

using namespace std::chrono_literals;
using test::certificate_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// A root, a CA below it, and a certificate; what is at each URL, and what was looked at.
class ACheckOfAChain : public testing::Test {
 protected:
  ACheckOfAChain() {
    pki.make_ca("root");
    root.emplace(pki, "root");
    make_intermediate({"crlDistributionPoints=URI:http://root/crl"});
    make_leaf({"authorityInfoAccess=OCSP;URI:http://ca/ocsp", "crlDistributionPoints=URI:http://ca/crl"});
    places["http://root/crl"] = root->crl();
  }

  void make_intermediate(const std::vector<std::string>& extensions) {
    auto spec = test::TestPki::ca_spec("issuing", "root");
    spec.more_extensions = extensions;
    intermediate = pki.make_ca("issuing", spec);
    issuing.emplace(pki, "issuing");
  }
  void make_leaf(const std::vector<std::string>& extensions) {
    leaf = pki.issue({.issuer = "issuing", .more_extensions = extensions});
    issuing->know(leaf);
  }
  [[nodiscard]] std::string ocsp() const { return issuing->ocsp(issuing->ocsp_request(leaf)); }

  Result<> check(RevocationPolicy policy, const std::string& stapled = {}) {
    const auto download = [this](const Download& what) -> Result<Bytes> {
      asked.push_back(what);
      const auto found = places.find(what.url);
      if (found == places.end())
        return fail({.code = failure, .retry = Retry::later, .what = "cannot fetch it", .reason = "nobody is there"});
      return to_bytes(as_bytes(found->second));
    };
    return check_revocation({certificate_of(leaf.certificate_pem), certificate_of(intermediate.certificate_pem),
                             certificate_of(pki.ca("root").certificate_pem)},
                            as_bytes(stapled),
                            {.policy = policy,
                             .download = download,
                             .cache = cache,
                             .now = now,
                             .end = end,
                             .unreached = &unreached,
                             .on_unknown = [this](const Error& error) { told.push_back(error.sentence()); }});
  }
  void expect_passed(const Result<>& checked, const std::string& what) {
    EXPECT_TRUE(checked) << what << ": " << checked.error().sentence();
  }
  static void expect_failed(const Result<>& checked, Errc code, const std::string& text) {
    ASSERT_FALSE(checked) << text;
    EXPECT_EQ(code_name(checked.error().code), code_name(code)) << checked.error().sentence();
    EXPECT_THAT(checked.error().what + " (" + checked.error().reason + ")", HasSubstr(text));
    EXPECT_THAT(checked.error().hint, Not(IsEmpty()));
  }
  /// The URLs that were asked since the last time.
  std::vector<std::string> urls() {
    std::vector<std::string> all;
    for (const Download& each : std::exchange(asked, {})) all.push_back(each.url);
    return all;
  }

  test::TestPki pki;
  std::optional<test::TestRevocation> root;
  std::optional<test::TestRevocation> issuing;
  test::TestCredential intermediate;
  test::TestCredential leaf;
  std::map<std::string, std::string> places;
  Errc failure = Errc::network_unreachable;
  std::vector<Download> asked;
  std::optional<std::chrono::steady_clock::time_point> end;
  std::set<std::string> unreached;
  std::vector<std::string> told;
  RevocationCache cache;
  Time now = SystemClock().now();
};

TEST_F(ACheckOfAChain, AsksTheResponderOfTheLeafAndTheCrlOfTheIntermediate) {
  places["http://ca/ocsp"] = ocsp();
  expect_passed(check(RevocationPolicy::hard), "all good");
  ASSERT_EQ(asked.size(), 2U);
  EXPECT_EQ(asked[0].url, "http://ca/ocsp");
  EXPECT_EQ(asked[0].media_type, "application/ocsp-request");
  EXPECT_THAT(asked[0].body, testing::Optional(to_bytes(as_bytes(issuing->ocsp_request(leaf)))));
  EXPECT_EQ(asked[0].limit, longest_ocsp_response);
  EXPECT_EQ(asked[1].url, "http://root/crl");
  EXPECT_EQ(asked[1].body, std::nullopt);
  EXPECT_EQ(asked[1].limit, longest_crl);
}

TEST_F(ACheckOfAChain, AsksNobodyTwice) {
  places["http://ca/ocsp"] = ocsp();
  expect_passed(check(RevocationPolicy::hard), "first");
  EXPECT_THAT(urls(), ElementsAre("http://ca/ocsp", "http://root/crl"));
  places.clear();
  expect_passed(check(RevocationPolicy::hard), "second");
  EXPECT_THAT(urls(), IsEmpty());
  now += 61min;
  places["http://root/crl"] = root->crl();
  expect_failed(check(RevocationPolicy::hard), Errc::revocation_unknown, "CN=gateway");
  EXPECT_THAT(urls(), ElementsAre("http://ca/ocsp", "http://ca/crl"));
}

TEST_F(ACheckOfAChain, AsksNobodyAgainWhoDidNotAnswer) {
  for (const Errc code : {Errc::network_timeout, Errc::network_unreachable, Errc::proxy_failed}) {
    unreached.clear();
    failure = code;
    places.clear();
    expect_passed(check(RevocationPolicy::soft), "first");
    EXPECT_THAT(urls(), ElementsAre("http://ca/ocsp", "http://ca/crl", "http://root/crl"));
    expect_failed(check(RevocationPolicy::hard), Errc::revocation_unknown, "did not answer before");
    EXPECT_THAT(urls(), IsEmpty());
  }
  unreached.clear();
  failure = Errc::server_unavailable;
  expect_passed(check(RevocationPolicy::soft), "who says no has answered");
  EXPECT_THAT(unreached, IsEmpty());
}

TEST_F(ACheckOfAChain, GivesEachPlaceHalfOfTheTimeThatIsLeft) {
  places.clear();
  end = std::chrono::steady_clock::now() + 10s;
  expect_passed(check(RevocationPolicy::soft), "in time");
  ASSERT_EQ(asked.size(), 3U);
  EXPECT_GT(asked[0].time.value(), 4s);
  EXPECT_LE(asked[0].time.value(), 5s);
}

TEST_F(ACheckOfAChain, AsksNobodyWhenItsTimeIsOver) {
  end = std::chrono::steady_clock::now();
  expect_passed(check(RevocationPolicy::soft), "soft");
  expect_failed(check(RevocationPolicy::hard), Errc::revocation_unknown, "no time is left");
  EXPECT_THAT(urls(), IsEmpty());
  EXPECT_THAT(unreached, IsEmpty());
}

TEST_F(ACheckOfAChain, TellsUnderTheSoftPolicyWhatItCouldNotFindOut) {
  places.clear();
  expect_passed(check(RevocationPolicy::soft), "soft");
  EXPECT_THAT(told,
              ElementsAre(testing::AllOf(HasSubstr("CN=gateway is revoked"), HasSubstr("CN=issuing is revoked"))));
  told.clear();
  expect_failed(check(RevocationPolicy::hard), Errc::revocation_unknown, "CN=gateway");
  make_leaf({});
  places["http://root/crl"] = root->crl();
  unreached.clear();
  expect_passed(check(RevocationPolicy::soft), "a certificate that says nothing is no news");
  EXPECT_THAT(told, IsEmpty());
}

TEST_F(ACheckOfAChain, AsksNobodyIfThePolicyIsOff) {
  issuing->revoke(leaf);
  expect_passed(check(RevocationPolicy::off, ocsp()), "off");
  EXPECT_THAT(urls(), IsEmpty());
}

TEST_F(ACheckOfAChain, BelievesAStapledResponseBeforeItAsks) {
  expect_passed(check(RevocationPolicy::hard, ocsp()), "good");
  EXPECT_THAT(urls(), ElementsAre("http://root/crl"));
  issuing->revoke(leaf);
  expect_failed(check(RevocationPolicy::soft, ocsp()), Errc::certificate_revoked,
                "the certificate of CN=gateway is revoked (since ");
  EXPECT_THAT(urls(), IsEmpty());
}

TEST_F(ACheckOfAChain, AsksIfTheStapledResponseIsOfNoUse) {
  const std::string of_another = issuing->ocsp(issuing->ocsp_request(pki.issue({.issuer = "issuing"})));
  issuing->revoke(leaf);
  places["http://ca/ocsp"] = ocsp();
  for (const std::string& stapled : {std::string("garbage"), of_another})
    expect_failed(check(RevocationPolicy::soft, stapled), Errc::certificate_revoked, "CN=gateway");
}

TEST_F(ACheckOfAChain, TurnsToTheCrlIfTheResponderDoesNotAnswer) {
  places["http://ca/crl"] = issuing->crl();
  for (const std::string& answer : {std::string(), std::string("\x30\x03\x0a\x01\x03", 5), std::string("<html>")}) {
    places["http://ca/ocsp"] = answer;
    cache = RevocationCache();
    expect_passed(check(RevocationPolicy::hard), answer);
    EXPECT_THAT(urls(), ElementsAre("http://ca/ocsp", "http://ca/crl", "http://root/crl"));
  }
}

TEST_F(ACheckOfAChain, RefusesARevokedLeaf) {
  issuing->revoke(leaf, "superseded");
  places["http://ca/ocsp"] = ocsp();
  for (const auto policy : {RevocationPolicy::soft, RevocationPolicy::hard}) {
    expect_failed(check(policy), Errc::certificate_revoked, "the certificate of CN=gateway is revoked");
    expect_failed(check(policy), Errc::certificate_revoked, "superseded, by CN=issuing");
  }
  places.erase("http://ca/ocsp");
  cache = RevocationCache();
  places["http://ca/crl"] = issuing->crl();
  expect_failed(check(RevocationPolicy::soft), Errc::certificate_revoked, "superseded, by CN=issuing");
}

TEST_F(ACheckOfAChain, DoesNotForgetThatACertificateWasRevoked) {
  issuing->revoke(leaf, "keyCompromise");
  places["http://ca/ocsp"] = ocsp();
  expect_failed(check(RevocationPolicy::soft), Errc::certificate_revoked, "keyCompromise, by CN=issuing");
  // The statement ends, and somebody on the way lets no other one through.
  places.clear();
  urls();
  for (const Seconds later : {Seconds(2h), Seconds(std::chrono::days(8)), Seconds(std::chrono::days(3000))}) {
    now = SystemClock().now() + later;
    for (const auto policy : {RevocationPolicy::soft, RevocationPolicy::hard})
      expect_failed(check(policy), Errc::certificate_revoked, "keyCompromise, by CN=issuing");
    EXPECT_THAT(urls(), IsEmpty()) << "there is nothing to ask";
  }
  now = certificate_of(leaf.certificate_pem).not_after();
  expect_passed(check(RevocationPolicy::soft), "expired, which others look at");
}

TEST_F(ACheckOfAChain, DoesNotForgetWhatACrlOrTheServerItselfSaidEither) {
  const std::string good = ocsp();
  issuing->revoke(leaf, "superseded");
  places["http://ca/crl"] = issuing->crl();
  for (const std::string& stapled : {std::string(), ocsp()}) {
    cache = RevocationCache();
    expect_failed(check(RevocationPolicy::soft, stapled), Errc::certificate_revoked, "superseded");
    expect_failed(check(RevocationPolicy::soft, good), Errc::certificate_revoked, "superseded");
  }
}

TEST_F(ACheckOfAChain, LetsTheCaTakeBackWhatIsOnlyOnHold) {
  const std::string good = ocsp();
  issuing->revoke(leaf, "certificateHold");
  const std::string on_hold = ocsp();
  places["http://ca/crl"] = issuing->crl();
  for (const std::string& stapled : {std::string(), on_hold}) {
    cache = RevocationCache();
    expect_failed(check(RevocationPolicy::soft, stapled), Errc::certificate_revoked, "certificateHold");
    expect_passed(check(RevocationPolicy::soft, good), "taken back");
  }
}

TEST_F(ACheckOfAChain, RefusesARevokedIntermediateEvenIfNothingIsKnownOfTheLeaf) {
  root->revoke(intermediate, "CACompromise");
  places["http://root/crl"] = root->crl();
  for (const auto policy : {RevocationPolicy::soft, RevocationPolicy::hard})
    expect_failed(check(policy), Errc::certificate_revoked, "the certificate of CN=issuing is revoked");
}

TEST_F(ACheckOfAChain, GoesOnWithoutAnAnswerOnlyUnderTheSoftPolicy) {
  places.clear();
  expect_passed(check(RevocationPolicy::soft), "soft");
  unreached.clear();
  const auto hard = check(RevocationPolicy::hard);
  expect_failed(hard, Errc::revocation_unknown,
                "it cannot be found out whether the certificate of CN=gateway is revoked");
  for (const char* reason : {"http://ca/ocsp: cannot fetch it (nobody is there)", "http://ca/crl: cannot fetch it",
                             "certificate of CN=issuing is revoked", "http://root/crl: cannot fetch it"})
    EXPECT_THAT(hard.error().reason, HasSubstr(reason));
  EXPECT_EQ(hard.error().retry, Retry::later);
}

TEST_F(ACheckOfAChain, DoesNotKnowOfACertificateThatNamesNoSource) {
  make_leaf({});
  expect_passed(check(RevocationPolicy::soft), "soft");
  expect_failed(check(RevocationPolicy::hard), Errc::revocation_unknown, "names no OCSP responder and no CRL");
  make_leaf({"authorityInfoAccess=OCSP;URI:https://ca/ocsp,caIssuers;URI:http://ca/ocsp,OCSP;DNS:ca",
             "crlDistributionPoints=URI:ldap://ca/crl,URI:https://ca/crl"});
  expect_failed(check(RevocationPolicy::hard), Errc::revocation_unknown, "names no OCSP responder and no CRL");
  EXPECT_THAT(urls(), ElementsAre("http://root/crl"));
}

TEST_F(ACheckOfAChain, EndsWhenItIsCancelled) {
  failure = Errc::cancelled;
  places.clear();
  for (const auto policy : {RevocationPolicy::soft, RevocationPolicy::hard}) {
    const auto checked = check(policy);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, Errc::cancelled);
    EXPECT_THAT(urls(), ElementsAre("http://ca/ocsp"));
  }
}

TEST_F(ACheckOfAChain, TriesThreeUrlsOfAKindEachOnce) {
  make_leaf(
      {"authorityInfoAccess=OCSP;URI:ldap://ca/,OCSP;URI:HTTP://ca/1,OCSP;URI:http://ca/2,OCSP;URI:http://ca/2,"
       "OCSP;URI:http://ca/3,OCSP;URI:http://ca/4",
       "crlDistributionPoints=URI:http://ca/5,URI:http://ca/6,URI:http://ca/7,URI:http://ca/8"});
  places["http://ca/7"] = issuing->crl();
  expect_passed(check(RevocationPolicy::hard), "the last of all");
  EXPECT_THAT(urls(), ElementsAre("HTTP://ca/1", "http://ca/2", "http://ca/3", "http://ca/5", "http://ca/6",
                                  "http://ca/7", "http://root/crl"));
}

TEST_F(ACheckOfAChain, AsksTwelveTimesAtMost) {
  const std::vector<std::string> many = {
      "authorityInfoAccess=OCSP;URI:http://ca/1,OCSP;URI:http://ca/2,OCSP;URI:http://ca/3",
      "crlDistributionPoints=URI:http://ca/4,URI:http://ca/5,URI:http://ca/6"};
  make_leaf(many);
  const Certificate anchor = certificate_of(pki.ca("root").certificate_pem);
  std::vector<Certificate> chain(5, certificate_of(leaf.certificate_pem));
  chain.push_back(anchor);
  unsigned count = 0;
  const auto download = [&count](const Download&) -> Result<Bytes> {
    ++count;
    return fail({.code = Errc::network_timeout, .retry = Retry::later, .what = "no"});
  };
  const auto checked =
      check_revocation(chain, {}, {.policy = RevocationPolicy::hard, .download = download, .cache = cache, .now = now});
  EXPECT_EQ(count, 12U);
  expect_failed(checked, Errc::revocation_unknown, "too many places were asked already");
}

TEST_F(ACheckOfAChain, SkipsDistributionPointsThatAreNotItsIssuersOrForSomeReasonsOnly) {
  make_leaf({"crlDistributionPoints=other,some,good", "[other]", "fullname=URI:http://ca/other",
             "CRLissuer=dirName:name", "[some]", "fullname=URI:http://ca/some", "reasons=keyCompromise", "[good]",
             "fullname=DNS:ca,URI:http://ca/good", "[name]", "CN=other"});
  places["http://ca/good"] = issuing->crl();
  expect_passed(check(RevocationPolicy::hard), "good");
  EXPECT_THAT(urls(), ElementsAre("http://ca/good", "http://root/crl"));
}

TEST_F(ACheckOfAChain, DoesNotKeepWhatItCouldNotUse) {
  places["http://ca/ocsp"] = "garbage";
  places["http://ca/crl"] = issuing->crl({.this_update = now - 2h, .next_update = now - 1h});
  expect_failed(check(RevocationPolicy::hard), Errc::revocation_unknown, "it has expired on");
  EXPECT_EQ(cache.find("crl http://ca/crl", now), std::nullopt);
  places["http://ca/ocsp"] = ocsp();
  urls();
  expect_passed(check(RevocationPolicy::hard), "asked again");
  EXPECT_THAT(urls(), ElementsAre("http://ca/ocsp"));
}

TEST_F(ACheckOfAChain, AsksAgainIfWhatWasKeptIsDamaged) {
  const std::string fingerprint = certificate_of(leaf.certificate_pem).fingerprint();
  cache.keep("ocsp " + fingerprint + " http://ca/ocsp", as_bytes("garbage"), now + 1h, now);
  cache.keep("crl http://root/crl", as_bytes("garbage"), now + 1h, now);
  places["http://ca/ocsp"] = ocsp();
  expect_passed(check(RevocationPolicy::hard), "asked");
  EXPECT_THAT(urls(), ElementsAre("http://ca/ocsp", "http://root/crl"));
  expect_passed(check(RevocationPolicy::hard), "kept");
  EXPECT_THAT(urls(), IsEmpty());
}

TEST_F(ACheckOfAChain, HasNothingToAskOfAnAnchor) {
  const auto download = [](const Download&) -> Result<Bytes> { return fail({.code = Errc::internal}); };
  const RevocationSources sources{.policy = RevocationPolicy::hard, .download = download, .cache = cache, .now = now};
  expect_passed(check_revocation({certificate_of(pki.ca("root").certificate_pem)}, {}, sources), "anchor");
  expect_passed(check_revocation({}, {}, sources), "nothing");
}

}  // namespace
}  // namespace devid::pki
