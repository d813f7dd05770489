#include "agent/identity/profile_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace devid::identity {
namespace {

using testing::ElementsAre;
using Kind = pki::AlternativeName::Kind;

/// What every profile needs, on lines 1 to 3.
const std::string least = R"([server]
url = "https://est.example.net"
trust_anchors = "/etc/devid/trust/operator.pem"
)";

ProfileFile parse(const std::string& text, const std::filesystem::path& file = "/etc/devid/identities.d/gateway.toml") {
  return parse_profile(text, file, {"tpm", "hsm"});
}

TEST(AProfileWithTheLeast, HasADefaultForEverythingElse) {
  const ProfileFile file = parse(least);
  ASSERT_TRUE(file.profile) << file.profile.error().sentence();
  const Profile& profile = *file.profile;
  EXPECT_EQ(file.name, "gateway");
  EXPECT_EQ(profile.name, "gateway");
  EXPECT_EQ(profile.file, "/etc/devid/identities.d/gateway.toml");
  EXPECT_EQ(profile.token, "tpm");
  EXPECT_EQ(profile.idevid, IdevidLocation());
  EXPECT_EQ(profile.key, KeySettings());
  EXPECT_TRUE(profile.facts.empty());
  EXPECT_EQ(profile.names, pki::Names());
  EXPECT_EQ(profile.name_policy, pki::NamePolicy::exact);
  EXPECT_EQ(profile.trust_anchors, "");
  EXPECT_EQ(profile.revocation, pki::RevocationPolicy::soft);
  EXPECT_TRUE(profile.renewal.enroll_again);
  EXPECT_EQ(profile.renewal.at, RenewAt(LifetimeShare{.numerator = 2, .denominator = 3}));
  EXPECT_EQ(profile.retry.minimum, std::chrono::minutes(1));
  EXPECT_EQ(profile.retry.maximum, std::chrono::hours(6));
}

TEST(ASpecifierInAProfile, StandsForAFactOfTheDevice) {
  const DeviceFacts facts{{'H', "gw.example"}, {'m', "0123"}};
  const ProfileFile file = parse_profile(least +
                                             "[subject]\nCN = \"%H\"\nserialNumber = \"%{idevid.serialNumber}\"\n"
                                             "[subject_alternative_names]\ndns = [\"%H\"]\n[facts]\nimei = \"%m\"\n",
                                         "/p.toml", {"tpm"}, facts);
  ASSERT_TRUE(file.profile) << file.profile.error().sentence();
  EXPECT_EQ(file.profile->names.subject.at(0).value, "gw.example");
  EXPECT_EQ(file.profile->names.subject.at(1).value, "\x1f{idevid.serialNumber}");
  EXPECT_EQ(file.profile->names.alternatives.at(0).value, "gw.example");
  EXPECT_EQ(file.profile->facts.begin()->second, "0123");
  const auto wrong = parse_profile(least + "[subject]\nCN = \"%2F\"\n", "/p.toml", {"tpm"}, facts);
  ASSERT_FALSE(wrong.profile);
  EXPECT_EQ(wrong.profile.error().what, "/p.toml:5:6: '%2' is no specifier");
}

TEST(AProfileWithEverything, IsParsedIntoTypes) {
  const ProfileFile file = parse(R"(
name = "gw-1_a"
token = "tpm"
[server]
url = "https://est.example.net:8443/.well-known/est/factory"
trust_anchors = "/a.pem"
connect_timeout = "5s"
timeout = "2min"
[idevid]
key = "handle:0x81020001"
certificate = "/etc/devid/idevid.pem"
[key]
algorithm = "rsa-2048"
[subject]
O = "Example"
OU = ["one", "two"]
CN = "gateway-17"
[subject_alternative_names]
dns = ["gw.example.net"]
ip = ["192.0.2.1", "2001:db8::1"]
uri = ["urn:example:gw"]
email = ["gw@example.net"]
[certificate]
names = "ca-may-change"
trust_anchors = "/b.pem"
revocation = "hard"
[facts]
serialNumber = "17"
"1.2.3.4" = "x"
[renewal]
renew_at = "66%"
enroll_again = false
spread = "5%"
window = "Sat 02:00"
window_length = "4h"
rekey = "every 5"
keep_old = "30d"
prove = false
[retry]
minimum = "2min"
maximum = "1d"
)");
  ASSERT_TRUE(file.profile) << file.profile.error().sentence();
  const Profile& profile = *file.profile;
  EXPECT_EQ(file.name, "gw-1_a");
  EXPECT_EQ(profile.server.endpoints.at(0).base, "https://est.example.net:8443/.well-known/est/factory");
  EXPECT_EQ(profile.idevid.key, "handle:0x81020001");
  EXPECT_EQ(profile.idevid.certificate, CertificateLocation(InFile{"/etc/devid/idevid.pem"}));
  EXPECT_THAT(profile.key.algorithms, ElementsAre(KeyAlgorithm::rsa_2048));
  using pki::AlternativeName;
  using pki::NameAttribute;
  EXPECT_THAT(profile.names.subject, ElementsAre(NameAttribute{"O", "Example"}, NameAttribute{"OU", "one"},
                                                 NameAttribute{"OU", "two"}, NameAttribute{"CN", "gateway-17"}));
  EXPECT_THAT(profile.names.alternatives,
              ElementsAre(AlternativeName{Kind::dns, "gw.example.net"}, AlternativeName{Kind::ip, "192.0.2.1"},
                          AlternativeName{Kind::ip, "2001:db8::1"}, AlternativeName{Kind::uri, "urn:example:gw"},
                          AlternativeName{Kind::email, "gw@example.net"}));
  EXPECT_EQ(profile.name_policy, pki::NamePolicy::ca_may_change);
  EXPECT_EQ(profile.trust_anchors, "/b.pem");
  EXPECT_EQ(profile.revocation, pki::RevocationPolicy::hard);
  EXPECT_THAT(profile.facts, ElementsAre(testing::Pair("1.2.3.4", "x"), testing::Pair("2.5.4.5", "17")));
  EXPECT_FALSE(profile.renewal.enroll_again);
  EXPECT_EQ(profile.renewal.spread, 5);
  ASSERT_TRUE(profile.renewal.window);
  EXPECT_EQ(profile.renewal.window->opens.text(), "Sat 02:00");
  EXPECT_EQ(profile.renewal.window->length, std::chrono::hours(4));
  EXPECT_EQ(profile.renewal.rekey_every, 5);
  EXPECT_EQ(profile.renewal.keep_old, std::chrono::days(30));
  EXPECT_FALSE(profile.renewal.prove);
  EXPECT_EQ(profile.renewal.at, RenewAt(LifetimeShare{.numerator = 66, .denominator = 100}));
  EXPECT_EQ(profile.retry.minimum, std::chrono::minutes(2));
  EXPECT_EQ(profile.retry.maximum, std::chrono::days(1));
}

TEST(TheSubject, KeepsTheOrderInWhichItIsWritten) {
  const ProfileFile file = parse(least + "[subject]\nserialNumber = \"1\"\nC = \"DE\"\nCN = \"a\"\n");
  ASSERT_TRUE(file.profile) << file.profile.error().sentence();
  EXPECT_THAT(file.profile->names.subject, ElementsAre(pki::NameAttribute{"serialNumber", "1"},
                                                       pki::NameAttribute{"C", "DE"}, pki::NameAttribute{"CN", "a"}));
}

TEST(RenewAt, IsAShareOrATimeBeforeExpiry) {
  const auto renew_at = [](const std::string& text) {
    return parse(least + "[renewal]\nrenew_at = \"" + text + "\"\n").profile->renewal.at;
  };
  EXPECT_EQ(renew_at("1/2"), RenewAt(LifetimeShare{.numerator = 1, .denominator = 2}));
  EXPECT_EQ(renew_at("1%"), RenewAt(LifetimeShare{.numerator = 1, .denominator = 100}));
  EXPECT_EQ(renew_at("30d"), RenewAt(BeforeExpiry{std::chrono::days(30)}));
}

TEST(AName, MayComeFromTheFileOrFromWithin) {
  EXPECT_EQ(parse("name = \"other\"\n" + least).name, "other");
  EXPECT_EQ(parse(least, "/x/web-1.toml").name, "web-1");
  EXPECT_EQ(parse("name = \"other\"\n" + least, "/x/Not A Name.toml").name, "other");
}

TEST(AName, IsKeptWhereTheRestOfTheFileIsWrong) {
  EXPECT_EQ(parse("[server").name, "gateway");
  EXPECT_EQ(parse("name = \"other\"\n").name, "other");
  EXPECT_EQ(parse("name = \"../x\"\n" + least).name, "gateway");
  EXPECT_EQ(parse(least, "/x/Not A Name.toml").name, "");
}

TEST(AName, CanBeAFileNameAndNothingElse) {
  for (const std::string name : {"a", "0", "gateway-17", "a_b", "a-"}) EXPECT_TRUE(is_identity_name(name)) << name;
  EXPECT_TRUE(is_identity_name(std::string(63, 'a')));
  for (const std::string name : {"", ".", "..", "a/b", "/a", "A", "-a", "_a", "a.b", "a b", "ä", "a\n"})
    EXPECT_FALSE(is_identity_name(name)) << name;
  EXPECT_FALSE(is_identity_name(std::string(64, 'a')));
  EXPECT_FALSE(is_identity_name(std::string("a\0b", 3)));
}

TEST(AToken, MayBeAnyWhereNoneIsKnown) {
  EXPECT_TRUE(parse_profile("token = \"hsm\"\n" + least, "/x/a.toml", {}).profile);
}

struct Bad {
  std::string text;
  std::string complaint;  ///< after "/etc/devid/identities.d/gateway.toml:"
  std::string hint;
  Errc code = Errc::config_invalid;
};

void PrintTo(const Bad& bad, std::ostream* out) { *out << bad.complaint; }

class AWrongProfile : public testing::TestWithParam<Bad> {};

TEST_P(AWrongProfile, IsRefusedWithThePlaceAndAHint) {
  const ProfileFile file = parse(GetParam().text);
  ASSERT_FALSE(file.profile);
  const Error& error = file.profile.error();
  EXPECT_EQ(error.sentence(), "/etc/devid/identities.d/gateway.toml:" + GetParam().complaint);
  EXPECT_EQ(error.hint, GetParam().hint);
  EXPECT_EQ(error.code, GetParam().code);
  EXPECT_EQ(error.retry, Retry::after_operator);
}

const std::string name_form = "a name is 1 to 63 of a-z, 0-9, '-' and '_', and begins with a letter or digit";
const std::string share_form =
    "write a share of the lifetime, \"2/3\" or \"66%\", or a time before the expiry, \"30d\"";
const std::string quotes = "write it in quotes: \"…\"";
const std::string no_value = "give it a value; see devid.toml(5)";
const std::string in_range = "write a time between the two, or leave it out for the default";
const std::string known_tokens = "tokens: tpm, hsm; others are described in devid.toml, or named by a PKCS#11 URI";

INSTANTIATE_TEST_SUITE_P(
    Keys, AWrongProfile,
    testing::Values(
        Bad{least + "ulr = \"x\"\n", "4:1: unknown key 'ulr' in [server]", "did you mean 'url'?"},
        Bad{"nmae = \"x\"\n" + least, "1:1: unknown key 'nmae'", "did you mean 'name'?"},
        Bad{least + "[sever]\n", "4:2: unknown key 'sever'", "did you mean 'server'?"},
        Bad{least + "[idevid]\n  certifcate = \"x:y\"\n", "5:3: unknown key 'certifcate' in [idevid]",
            "did you mean 'certificate'?"},
        Bad{least + "[retry]\nsomething = 1\n", "5:1: unknown key 'something' in [retry]",
            "known here: minimum, maximum"},
        Bad{least + "[subject]\n", "4:1: [subject] is empty", "leave it out to use the serial number of the IDevID"},
        Bad{least + "[certificate]\nnames = \"any\"\n", "5:9: certificate.names cannot be 'any'",
            "write \"exact\" or \"ca-may-change\""},
        Bad{least + "[certificate]\ntrust_anchors = \"b.pem\"\n",
            "5:17: certificate.trust_anchors must be an absolute path, not 'b.pem'",
            "write the whole path, from the first '/' on"},
        Bad{least + "[renewal]\nrenew_at = \"later\"\n", "5:12: renewal.renew_at cannot be 'later'", share_form},
        Bad{least + "[renewal]\nrenew_at = \"2/3x\"\n", "5:12: renewal.renew_at cannot be '2/3x'", share_form},
        Bad{least + "[renewal]\nrenew_at = \"3/2\"\n",
            "5:12: renewal.renew_at must be more than nothing and less than the whole lifetime, not '3/2'",
            "write a share between the two, such as \"2/3\" or \"66%\""},
        Bad{least + "[renewal]\nrenew_at = \"1/0\"\n",
            "5:12: renewal.renew_at must be more than nothing and less than the whole lifetime, not '1/0'",
            "write a share between the two, such as \"2/3\" or \"66%\""},
        Bad{least + "[renewal]\nrenew_at = \"100%\"\n",
            "5:12: renewal.renew_at must be more than nothing and less than the whole lifetime, not '100%'",
            "write a share between the two, such as \"2/3\" or \"66%\""},
        Bad{least + "[renewal]\nrenew_at = \"0%\"\n",
            "5:12: renewal.renew_at must be more than nothing and less than the whole lifetime, not '0%'",
            "write a share between the two, such as \"2/3\" or \"66%\""},
        Bad{least + "[renewal]\nspread = \"51%\"\n", "5:10: renewal.spread cannot be '51%'",
            "write a share of the lifetime from \"0%\" to \"50%\""},
        Bad{least + "[renewal]\nspread = \"10\"\n", "5:10: renewal.spread cannot be '10'",
            "write a share of the lifetime from \"0%\" to \"50%\""},
        Bad{least + "[renewal]\nwindow = \"Sat 25:00\"\n", "5:10: renewal.window: 'Sat 25:00' is no calendar event",
            "see systemd.time(7): \"Sat 02:00\""},
        Bad{least + "[renewal]\nwindow = \"02-30 02:00\"\n", "5:10: renewal.window: '02-30 02:00' never happens",
            "write a day that there is"},
        Bad{least + "[renewal]\nwindow_length = \"4h\"\n", "5:17: renewal.window_length needs a renewal.window",
            "say when it opens: \"Sat 02:00\""},
        Bad{least + "[renewal]\nwindow = \"daily\"\nwindow_length = \"5min\"\n",
            "6:17: renewal.window_length must be from 30min to 7d",
            "write a time between the two, or leave it out for the default"},
        Bad{least + "[renewal]\nrekey = \"every 0\"\n", "5:9: renewal.rekey cannot be 'every 0'",
            "write \"always\", \"never\", or \"every 5\" for a new key with each fifth renewal"},
        Bad{least + "[renewal]\nrekey = \"sometimes\"\n", "5:9: renewal.rekey cannot be 'sometimes'",
            "write \"always\", \"never\", or \"every 5\" for a new key with each fifth renewal"},
        Bad{least + "[renewal]\nkeep_old = \"4000d\"\n", "5:12: renewal.keep_old must be from 0d to 3650d", in_range},
        Bad{least + "[renewal]\nrenew_at = \"1s\"\n", "5:12: renewal.renew_at must be from 1min to 36500d", in_range},
        Bad{least + "[retry]\nminimum = \"0s\"\n", "5:11: retry.minimum must be from 1s to 30d", in_range},
        Bad{least + "[retry]\nminimum = \"2h\"\nmaximum = \"1h\"\n",
            "6:11: retry.maximum (1h) must not be shorter than retry.minimum (2h)",
            "lengthen one or shorten the other"},
        Bad{least + "[retry]\nminimum = \"7h\"\n",
            "5:11: retry.maximum (6h) must not be shorter than retry.minimum (7h)",
            "lengthen one or shorten the other"}));

INSTANTIATE_TEST_SUITE_P(
    Missing, AWrongProfile,
    testing::Values(Bad{"", "1:1: server.url is missing",
                        "give the address of the EST server: url = \"https://est.example.net\""},
                    Bad{least + "[facts]\nnonsense = \"1\"\n", "5:12: facts.nonsense is no attribute",
                        "write serialNumber, macAddress, imei, meid, deviceId, or the number of an "
                        "attribute: \"2.5.4.5\""},
                    Bad{least + "[facts]\nserialNumber = \"1\"\n\"2.5.4.5\" = \"2\"\n",
                        "6:13: facts.2.5.4.5 is there twice", "leave one of them out"}));

TEST(AProfileThatIsNotToml, IsRefusedWithThePlace) {
  for (const auto& [text, place] : std::vector<std::pair<std::string, std::string>>{{"[server\n", "1:8"},
                                                                                    {"a = 1\nb == 2\n", "2:4"},
                                                                                    {"a = 1\na = 2\n", "2:"},
                                                                                    {std::string("a\0b", 3), "1:"},
                                                                                    {"a = \"\xff\"\n", "1:"},
                                                                                    {std::string(5000, '['), "1:"}}) {
    const ProfileFile file = parse(text);
    ASSERT_FALSE(file.profile) << text;
    EXPECT_EQ(file.profile.error().code, Errc::config_syntax);
    EXPECT_THAT(file.profile.error().hint, testing::HasSubstr("devid.toml(5)"));
    EXPECT_THAT(file.profile.error().sentence(), testing::StartsWith("/etc/devid/identities.d/gateway.toml:" + place));
    EXPECT_THAT(file.profile.error().sentence(), testing::HasSubstr(": this is not TOML ("));
  }
}

// Where other parsers refuse a value, the place is ours and the words are theirs.
TEST(AValueThatAnotherParserRefuses, IsComplainedAboutWhereItIsWritten) {
  for (const auto& [text, place] : std::vector<std::pair<std::string, std::string>>{
           {least + "[subject]\nO = \"x\"\nnonsense = \"y\"\n", "6:12: "},
           {least + "[subject]\nC = \"Germany\"\n", "5:5: "},
           {least + "[subject_alternative_names]\nip = [\"192.0.2.1\", \"192.0.2.300\"]\n", "5:20: "}}) {
    const ProfileFile file = parse(text);
    ASSERT_FALSE(file.profile) << text;
    EXPECT_EQ(file.profile.error().code, Errc::config_invalid);
    EXPECT_THAT(file.profile.error().sentence(), testing::StartsWith("/etc/devid/identities.d/gateway.toml:" + place));
  }
}

}  // namespace
}  // namespace devid::identity
