#include "agent/identity/discovery.h"

#include <gmock/gmock.h>

#include "tests/agent/identity/idevid_fixture.h"

namespace devid::test {
namespace {

using identity::Discovery;
using identity::Evidence;
using identity::IdevidPlace;
using identity::InFile;
using identity::InToken;
using identity::Verdict;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

const IdevidPlace where_the_tcg_puts_it{
    .token = "tpm", .key = "handle:0x81020000", .certificate = InToken{"nv:0x01c90200"}};

Error away() {
  return {.code = Errc::token_unreachable, .retry = Retry::later, .what = "the token is away", .hint = "put it back"};
}

class AnIdevid : public ADiscovery {};

TEST_F(AnIdevid, IsFoundWhereTheTcgPutsItWithTheFewestQuestions) {
  put(tpm_, "handle:0x81020000", "nv:0x01c90200", "SN-1");
  for (const char* handle : {"handle:0x81010001", "handle:0x81020002", "handle:0x81020003"})
    tpm_.put_key(handle, KeyAlgorithm::ec_p256);
  const auto found = look();
  EXPECT_EQ(place(found), where_the_tcg_puts_it);
  EXPECT_EQ(found.idevid->credential.certificate.subject(), "serialNumber=SN-1");
  EXPECT_EQ(found.idevid->credential.key->public_key(), *found.idevid->credential.certificate.public_key());
  EXPECT_THAT(found.advice, IsEmpty());
  EXPECT_EQ(tpm_.count(Operation::list_certificates), 1U);
  EXPECT_EQ(tpm_.count(Operation::list_keys), 1U);
  EXPECT_EQ(tpm_.count(Operation::open_key_at), 1U) << "no key but the one to prove";
  EXPECT_EQ(tpm_.count(Operation::sign), 1U);
  EXPECT_EQ(tpm_.operations(), 4U);
  EXPECT_EQ(hsm_.operations(), 2U);
}

TEST_F(AnIdevid, IsShownWithEverythingThatWasLookedAtRanked) {
  put(tpm_, "handle:0x81020000", "nv:0x01c90200", "SN-1");
  put(tpm_, "handle:0x81020005", "nv:0x01c90210", "SN-2");
  tpm_.put_key("handle:0x81010001", KeyAlgorithm::rsa_2048);
  tpm_.put_unusable_key("handle:0x81000001", {.code = Errc::token_wrong_key, .what = "it is a storage key"});
  const auto found = look();
  std::vector<std::string> verdicts;
  for (const auto& row : found.evidence) verdicts.emplace_back(verdict_name(row.verdict));
  EXPECT_THAT(verdicts, testing::ElementsAre("taken", "taken", "usable", "usable", "rejected", "rejected"));
  EXPECT_EQ(row(found, "nv:0x01c90200").why, "its key handle:0x81020000 in token 'tpm' signs");
  EXPECT_THAT(row(found, "nv:0x01c90200").found, StartsWith("certificate of serialNumber=SN-1, valid until 20"));
  EXPECT_EQ(row(found, "handle:0x81020000").why, "signs for the certificate nv:0x01c90200 in token 'tpm'");
  EXPECT_EQ(row(found, "handle:0x81020000").found, "ec-p256 key");
  EXPECT_THAT(row(found, "handle:0x81020005").why, HasSubstr("another place comes first"));
  EXPECT_EQ(row(found, "handle:0x81010001").why, "no certificate for it");
  EXPECT_EQ(row(found, "handle:0x81000001").why, "it is a storage key");
  EXPECT_EQ(row(found, "handle:0x81000001").found, "no key to use");
}

TEST_F(AnIdevid, IsPreferredWhereTheTcgPutsIt) {
  put(tpm_, "handle:0x81010001", "nv:0x01000001", "other");
  put(tpm_, "handle:0x81010002", "nv:0x01c90000", "older");
  put(hsm_, "pkcs11:id=%01", "pkcs11:id=%01;type=cert", "hsm");
  EXPECT_EQ(place(look()).key, "handle:0x81010002");
  put(tpm_, "handle:0x81020000", "nv:0x01c90200", "newer");
  EXPECT_EQ(place(look()), where_the_tcg_puts_it);
}

TEST_F(AnIdevid, IsPreferredWhereTheConfigurationNamesItsCertificate) {
  put(tpm_, "handle:0x81020000", "nv:0x01c90200");
  const PublicKey key = hsm_.put_key("pkcs11:id=%01", KeyAlgorithm::ec_p384);
  files_ = {write("idevid.pem", certificate_for(key))};
  EXPECT_EQ(place(look()), (IdevidPlace{.token = "hsm", .key = "pkcs11:id=%01", .certificate = InFile{files_[0]}}));
}

TEST_F(AnIdevid, IsLookedForOnlyWhereTheProfileSays) {
  put(tpm_, "handle:0x81020000", "nv:0x01c90200");
  put(tpm_, "handle:0x81020007", "nv:0x01000001");
  put(hsm_, "pkcs11:id=%01", "pkcs11:id=%01;type=cert");
  files_ = {write("other.pem", certificate_for(hsm_.put_key("pkcs11:id=%02", KeyAlgorithm::ec_p256)))};
  EXPECT_EQ(place(look({.token = "hsm", .certificate = InToken{"pkcs11:id=%01;type=cert"}})).key, "pkcs11:id=%01");
  EXPECT_EQ(tpm_.operations(), 0U);
  EXPECT_EQ(place(look({.token = "tpm", .key = "handle:0x81020007"})).certificate,
            (identity::CertificateLocation(InToken{"nv:0x01000001"})));
  EXPECT_EQ(tpm_.count(Operation::list_keys), 0U);
  EXPECT_EQ(tpm_.count(Operation::open_key_at), 1U) << "it stays open for the proof";
  EXPECT_EQ(place(look({.token = "tpm", .certificate = InToken{"nv:0x01000001"}})).key, "handle:0x81020007");
  EXPECT_EQ(place(look({.certificate = InFile{files_[0]}})).key, "pkcs11:id=%02");
  EXPECT_EQ(error(look({.token = "tpm", .key = "handle:0x81020009"})).code, Errc::idevid_missing);
  EXPECT_EQ(error(look({.token = "tpm", .certificate = InToken{"nv:0x01000009"}})).code, Errc::idevid_missing);
}

TEST_F(AnIdevid, IsNotAKeyOfOneTokenWithACertificateOfAnother) {
  tpm_.put_certificate("nv:0x01c90200",
                       to_bytes(as_bytes(certificate_for(hsm_.put_key("pkcs11:id=%01", KeyAlgorithm::ec_p256)))));
  EXPECT_EQ(error(look()).code, Errc::idevid_missing);
}

class AnAttestationKey : public ADiscovery {};

TEST_F(AnAttestationKey, IsShownAndIsNoIdevid) {
  const PublicKey key = tpm_.put_key("fake:elsewhere", KeyAlgorithm::ec_p256);
  tpm_.remove_key("fake:elsewhere");
  tpm_.put_unusable_key("handle:0x81020001", {.code = Errc::token_wrong_key, .what = "it is a restricted key"});
  tpm_.put_certificate("nv:0x01c90100", to_bytes(as_bytes(certificate_for(key, "IAK"))));
  tpm_.put_key("template:H-2/x", KeyAlgorithm::ec_p256);
  tpm_.make_derivable("template:H-2/x");
  const auto found = look();
  EXPECT_EQ(error(found).code, Errc::idevid_missing);
  EXPECT_THAT(row(found, "nv:0x01c90100").why, AllOf(HasSubstr("IAK"), HasSubstr("restricted")));
  EXPECT_EQ(row(found, "handle:0x81020001").why, "it is a restricted key");
  EXPECT_EQ(tpm_.count(Operation::open_key_at), 0U) << "no template makes it";
}

TEST_F(AnAttestationKey, ThatMaySignAnythingComesLast) {
  put(tpm_, "handle:0x81020001", "nv:0x01c90100", "IAK");
  EXPECT_EQ(place(look()).key, "handle:0x81020001");
  put(hsm_, "pkcs11:id=%01", "pkcs11:id=%01;type=cert");
  EXPECT_EQ(place(look()).token, "hsm");
}

class AKeyOfATemplate : public ADiscovery {
 protected:
  AKeyOfATemplate() {
    for (const char* variant : {"a", "b", "c", "d"}) {
      const std::string location = std::string("template:H-2/") + variant;
      keys_.push_back(tpm_.put_key(location, KeyAlgorithm::ec_p256));
      tpm_.make_derivable(location);
    }
    tpm_.put_key("template:H-1/a", KeyAlgorithm::rsa_2048);
    tpm_.make_derivable("template:H-1/a");
  }
  std::vector<PublicKey> keys_;
};

TEST_F(AKeyOfATemplate, IsDerivedUntilOneFits) {
  tpm_.put_certificate("nv:0x01c90200", to_bytes(as_bytes(certificate_for(keys_[2]))));
  const auto found = look();
  EXPECT_EQ(place(found),
            (IdevidPlace{.token = "tpm", .key = "template:H-2/c", .certificate = InToken{"nv:0x01c90200"}}));
  EXPECT_EQ(tpm_.count(Operation::open_key_at), 3U);
  EXPECT_EQ(tpm_.count(Operation::sign), 1U);
  EXPECT_EQ(row(found, "template:H-2/a").verdict, Verdict::rejected);
  EXPECT_EQ(row(found, "template:H-2/a").found, "derived ec-p256 key");
  EXPECT_EQ(row(found, "template:H-2/c").verdict, Verdict::taken);
}

TEST_F(AKeyOfATemplate, IsDerivedOnceForAllCertificates) {
  const PublicKey other = hsm_.put_key("pkcs11:id=%01", KeyAlgorithm::ec_p256);
  tpm_.put_certificate("nv:0x01c90200", to_bytes(as_bytes(certificate_for(other))));
  tpm_.put_certificate("nv:0x01c90000", to_bytes(as_bytes(certificate_for(other, "second"))));
  const auto found = look();
  EXPECT_EQ(error(found).code, Errc::idevid_missing);
  EXPECT_EQ(tpm_.count(Operation::open_key_at), 4U);
  EXPECT_THAT(found.idevid.error().reason, HasSubstr("keys derived from templates (4)"));
}

TEST_F(AKeyOfATemplate, IsNotDerivedWhereAKeyIsThere) {
  put(tpm_, "handle:0x81020000", "nv:0x01c90200");
  tpm_.put_certificate("nv:0x01c90000", to_bytes(as_bytes(certificate_for(keys_[0]))));
  EXPECT_EQ(place(look()), where_the_tcg_puts_it);
  EXPECT_EQ(tpm_.count(Operation::open_key_at), 1U);
}

TEST_F(AKeyOfATemplate, IsDerivedForACertificateInAFile) {
  files_ = {write("idevid.der", pem_to_der(certificate_for(keys_[1])))};
  EXPECT_EQ(place(look()), (IdevidPlace{.token = "tpm", .key = "template:H-2/b", .certificate = InFile{files_[0]}}));
}

TEST_F(AKeyOfATemplate, MayBeNamedInWholeOrInPart) {
  put(tpm_, "handle:0x81020000", "nv:0x01c90200");
  tpm_.put_certificate("nv:0x01c90000", to_bytes(as_bytes(certificate_for(keys_[3]))));
  EXPECT_EQ(place(look({.token = "tpm", .key = "template:H-2"})).key, "template:H-2/d");
  EXPECT_EQ(place(look({.token = "tpm", .key = "template:H-2/d"})).key, "template:H-2/d");
  EXPECT_EQ(error(look({.token = "tpm", .key = "template:H-2/a"})).code, Errc::idevid_missing);
  EXPECT_EQ(error(look({.token = "tpm", .key = "template:H-1"})).code, Errc::idevid_missing);
}

class ACandidate : public ADiscovery {};

TEST_F(ACandidate, CountsOnlyIfItsKeySigns) {
  // The token says that it is the key of the certificate, and it is not.
  const PublicKey key = hsm_.put_key("pkcs11:id=%01", KeyAlgorithm::ec_p256);
  tpm_.put_certificate("nv:0x01c90200", to_bytes(as_bytes(certificate_for(key))));
  tpm_.put_key("handle:0x81020000", KeyAlgorithm::ec_p256);
  tpm_.lie_about_key("handle:0x81020000", key);
  const auto found = look();
  EXPECT_EQ(error(found).code, Errc::token_wrong_key);
  EXPECT_EQ(row(found, "handle:0x81020000").verdict, Verdict::rejected);
  EXPECT_EQ(row(found, "nv:0x01c90200").why, "its key handle:0x81020000 in token 'tpm' does not sign");
}

TEST_F(ACandidate, WhoseKeyDoesNotSignGivesWayAndIsNotAskedAgain) {
  const std::string pem = put(tpm_, "handle:0x81020000", "nv:0x01c90200");
  tpm_.put_certificate("nv:0x01c90000", to_bytes(as_bytes(pem)));
  put(hsm_, "pkcs11:id=%01", "pkcs11:id=%01;type=cert");
  tpm_.fail_each(Operation::sign, {.code = Errc::token_auth_failed,
                                   .retry = Retry::after_operator,
                                   .what = "its policy wants a secret",
                                   .hint = "give it"});
  const auto found = look();
  EXPECT_EQ(place(found).token, "hsm");
  EXPECT_EQ(row(found, "handle:0x81020000").why, "its policy wants a secret");
  EXPECT_EQ(tpm_.count(Operation::sign), 1U);
  hsm_.remove_key("pkcs11:id=%01");
  const auto nothing = look();
  EXPECT_EQ(error(nothing).code, Errc::token_auth_failed);
  EXPECT_THAT(nothing.advice, testing::Contains("give it"));
}

TEST_F(ACandidate, ThatExpiredCountsOnlyIfItMay) {
  const PublicKey key = tpm_.put_key("handle:0x81020000", KeyAlgorithm::ec_p256);
  tpm_.put_certificate("nv:0x01c90200", to_bytes(as_bytes(certificate_for(key, "old", now_ + std::chrono::days(1)))));
  now_ += std::chrono::days(3);
  const auto found = look();
  EXPECT_EQ(error(found).code, Errc::idevid_expired);
  EXPECT_EQ(error(found).retry, Retry::after_operator);
  EXPECT_THAT(error(found).hint, HasSubstr("allow_expired"));
  EXPECT_THAT(found.advice, testing::Contains(HasSubstr("allow_expired")));
  EXPECT_THAT(row(found, "nv:0x01c90200").why, HasSubstr("expired on"));
  EXPECT_EQ(tpm_.count(Operation::sign), 0U);
  EXPECT_EQ(place(look({.allow_expired = true})), where_the_tcg_puts_it);
  now_ -= std::chrono::days(10);
  EXPECT_EQ(error(look()).code, Errc::idevid_expired) << "not valid yet";
  EXPECT_EQ(error(look()).retry, Retry::later) << "the clock may be wrong";
}

TEST_F(ACandidate, ThatExpiredComesAfterAllOthers) {
  const PublicKey key = tpm_.put_key("handle:0x81020000", KeyAlgorithm::ec_p256);
  tpm_.put_certificate("nv:0x01c90200", to_bytes(as_bytes(certificate_for(key, "old", now_ + std::chrono::days(1)))));
  put(hsm_, "pkcs11:id=%01", "pkcs11:id=%01;type=cert");
  EXPECT_EQ(place(look()).token, "tpm");
  now_ += std::chrono::days(2);
  const auto found = look({.allow_expired = true});
  EXPECT_EQ(place(found).token, "hsm");
  EXPECT_EQ(row(found, "nv:0x01c90200").verdict, Verdict::usable);
}

TEST_F(ACandidate, ThatIsForGoodDoesNotExpire) {
  const PublicKey key = tpm_.put_key("handle:0x81020000", KeyAlgorithm::ec_p256);
  const auto certificate = manufacturer().issue(
      {.issuer = "manufacturer",
       .not_after = Time(std::chrono::sys_days(std::chrono::year(9999) / 12 / 31)) + Seconds(86399),
       .public_key = public_key_pem(std::string(as_text(key.spki)))});
  tpm_.put_certificate("nv:0x01c90200", to_bytes(as_bytes(certificate.certificate_pem)));
  EXPECT_EQ(place(look()), where_the_tcg_puts_it);
}

class ASearch : public ADiscovery {};

TEST_F(ASearch, GoesOnWhereATokenFails) {
  put(tpm_, "handle:0x81020000", "nv:0x01c90200");
  hsm_.fail_all(away());
  const auto found = look();
  EXPECT_EQ(place(found), where_the_tcg_puts_it);
  const auto failed = std::ranges::find(found.evidence, "hsm", &Evidence::token);
  ASSERT_NE(failed, found.evidence.end());
  EXPECT_EQ(failed->why, "the token is away");
  EXPECT_EQ(failed->verdict, Verdict::rejected);
}

TEST_F(ASearch, OfTokensThatAllFailGivesTheErrorOfOne) {
  hsm_.fail_all(away());
  tpm_.fail_all(away());
  const Error failed = error(look());
  EXPECT_EQ(failed.code, Errc::token_unreachable);
  EXPECT_EQ(failed.retry, Retry::later);
  EXPECT_EQ(error(look({.token = "tpm", .key = "handle:0x81020000"})).code, Errc::token_unreachable);
}

TEST_F(ASearch, ThatFindsNothingSaysWhatItLookedFor) {
  const Error nothing = error(look());
  EXPECT_EQ(nothing.code, Errc::idevid_missing);
  EXPECT_EQ(nothing.retry, Retry::after_operator);
  EXPECT_EQ(nothing.what, "this device has no IDevID that devid finds");
  EXPECT_EQ(nothing.reason, "looked at token 'hsm' (certificates: 0, keys: 0), token 'tpm' (certificates: 0, keys: 0)");
  EXPECT_THAT(nothing.hint, AllOf(HasSubstr("devidctl doctor shows where devid looked"), HasSubstr("[idevid]")));
  EXPECT_THAT(look().advice, testing::ElementsAre(HasSubstr("ask the manufacturer")));

  std::vector<std::string> places;
  for (const auto& [token, location, found, verdict, why] : look().evidence) {
    EXPECT_EQ(found, "nothing");
    EXPECT_EQ(verdict, Verdict::rejected);
    EXPECT_FALSE(why.empty());
    places.push_back(token + ' ' + location);
  }
  EXPECT_THAT(places, testing::ElementsAre("hsm pkcs11:", "tpm nv:0x01c90200", "tpm nv:0x01c90000", "tpm nv:0x01c90100",
                                           "tpm handle:0x81020000", "tpm template:H-1 to H-4"));

  files_ = {directory_.path() / "idevid.pem"};
  tpm_.put_key("handle:0x81020000", KeyAlgorithm::ec_p256);
  hsm_.fail_all(away());
  const auto again = look();
  EXPECT_EQ(error(again).retry, Retry::later) << "the token may come back";
  EXPECT_EQ(error(again).reason,
            "looked at token 'tpm' (certificates: 0, keys: 1), token 'hsm' (could not be asked: "
            "the token is away), " +
                files_[0].string());
  EXPECT_THAT(again.advice, testing::ElementsAre(AllOf(HasSubstr("make token 'hsm' work"), HasSubstr("put it back")),
                                                 HasSubstr("certificates = [")));
  EXPECT_THAT(row(again, files_[0].string()).why, HasSubstr("No such file"));

  hsm_.recover();
  tpm_.remove_key("handle:0x81020000");
  tpm_.put_certificate("nv:0x01c90200",
                       to_bytes(as_bytes(certificate_for(hsm_.put_key("fake:x", KeyAlgorithm::ec_p256)))));
  hsm_.remove_key("fake:x");
  EXPECT_THAT(error(look()).reason, StartsWith("nv:0x01c90200 in token 'tpm': no key for it; looked at "));
  EXPECT_THAT(look().advice, testing::ElementsAre(HasSubstr("name it with key = ")));
}

class TheTokenOfTheIdevid : public ADiscovery {
 protected:
  std::string resolved(identity::IdevidLocation wanted, const std::string& profile_token = "tpm") {
    const auto location = resolve_token(tokens_, std::move(wanted), profile_token);
    return location ? location->token : std::string(code_name(location.error().code));
  }
};

TEST_F(TheTokenOfTheIdevid, FollowsFromItsPlace) {
  EXPECT_EQ(resolved({}), "");
  EXPECT_EQ(resolved({.certificate = InFile{"/a"}}), "");
  EXPECT_EQ(resolved({.key = "handle:0x81020000"}, "hsm"), "tpm");
  EXPECT_EQ(resolved({.key = "template:H-1"}, "hsm"), "tpm");
  EXPECT_EQ(resolved({.certificate = InToken{"nv:0x01c90200"}}, "hsm"), "tpm");
  EXPECT_EQ(resolved({.token = "hsm", .key = "pkcs11:id=%01"}), "hsm");
  EXPECT_EQ(resolved({.key = "pkcs11:id=%01"}), "hsm");
  EXPECT_EQ(resolved({.certificate = InToken{"pkcs11:id=%01"}}), "hsm");
  EXPECT_EQ(resolved({.token = "card"}), "ConfigInvalid");
  tokens_.emplace("card", std::make_unique<FakeToken>(hsm_, "card", "pkcs11"));
  EXPECT_EQ(resolved({.key = "pkcs11:id=%01"}), "TokenAmbiguous");
  EXPECT_EQ(resolved({.key = "pkcs11:id=%01"}, "card"), "card");
  tokens_.erase("card");
  tokens_.erase("hsm");
  EXPECT_EQ(resolved({.key = "pkcs11:id=%01"}), "ConfigInvalid");
}

TEST(TheEvidenceOfSeveralSearches, NamesEachPlaceOnceWithTheBestThatWasSaid) {
  const Evidence rejected{.token = "tpm", .location = "a", .why = "1"};
  const Evidence taken{.token = "tpm", .location = "a", .verdict = Verdict::taken, .why = "2"};
  const Evidence other{.token = "hsm", .location = "a", .verdict = Verdict::usable};
  EXPECT_THAT(identity::merged({rejected, other, taken, rejected}), testing::ElementsAre(taken, other));
}

}  // namespace
}  // namespace devid::test
