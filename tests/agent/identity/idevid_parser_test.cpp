#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/identity/profile_parser.h"

namespace devid::identity {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string server = R"([server]
url = "https://est.example.net"
trust_anchors = "/etc/devid/trust/operator.pem"
)";

/// `top` comes before the tables, `tables` after that of the server, on lines 4 and 5.
ProfileFile parse(const std::string& top, const std::string& tables = {}) {
  return parse_profile(top + server + tables, "/p.toml", {"tpm", "hsm"});
}

IdevidLocation idevid_of(const std::string& top, const std::string& tables = {}) {
  const ProfileFile file = parse(top, tables);
  EXPECT_TRUE(file.profile) << file.profile.error().sentence();
  return file.profile ? file.profile->idevid : IdevidLocation{.token = "wrong"};
}

TEST(TheIdevidOfAProfile, IsLookedForEverywhereWhereNothingIsSaid) {
  EXPECT_EQ(idevid_of(""), IdevidLocation());
  EXPECT_EQ(idevid_of("idevid = \"auto\"\n"), IdevidLocation());
  EXPECT_EQ(idevid_of("", "[idevid]\nkey = \"auto\"\ncertificate = \"auto\"\nallow_expired = false\n"),
            IdevidLocation());
}

TEST(TheIdevidOfAProfile, MayBeOnePlace) {
  for (const std::string key : {"handle:0x81020000", "handle:0x8102AbCd", "template:H-2", "template:H-1/rust-keylime",
                                "pkcs11:id=%01", "pkcs11:token=a%20b;object=idevid;type=private?module-path=/x.so"}) {
    EXPECT_EQ(idevid_of("idevid = \"" + key + "\"\n"), IdevidLocation{.key = key});
    EXPECT_EQ(idevid_of("", "[idevid]\nkey = \"" + key + "\"\n"), IdevidLocation{.key = key});
  }
  EXPECT_EQ(idevid_of("idevid = \"nv:0x01c90000\"\n"), IdevidLocation{.certificate = InToken{"nv:0x01c90000"}});
}

TEST(TheIdevidOfAProfile, MayBeATable) {
  EXPECT_EQ(
      idevid_of("",
                "[idevid]\ntoken = \"hsm\"\nkey = \"pkcs11:id=%01\"\ncertificate = \"/a/idevid.pem\"\n"
                "allow_expired = true\n"),
      (IdevidLocation{
          .token = "hsm", .key = "pkcs11:id=%01", .certificate = InFile{"/a/idevid.pem"}, .allow_expired = true}));
  EXPECT_EQ(idevid_of("", "[idevid]\ntoken = \"pkcs11:token=dev\"\ncertificate = \"pkcs11:id=%01\"\n"),
            (IdevidLocation{.token = "pkcs11:token=dev", .certificate = InToken{"pkcs11:id=%01"}}));
}

TEST(TheTokenOfAProfile, IsNamedOrGivenByItsUri) {
  EXPECT_EQ(parse("token = \"hsm\"\n").profile->token, "hsm");
  const std::string uri = "pkcs11:token=dev%201;serial=0001?module-path=/usr/lib/x.so&pin-source=file:/etc/pin";
  const auto file = parse("token = \"" + uri + "\"\n");
  ASSERT_TRUE(file.profile) << file.profile.error().sentence();
  EXPECT_EQ(file.profile->token, uri);
}

TEST(TheKeyOfAProfile, MayWantAnAuthorization) {
  const auto authorization = [](const std::string& text) {
    const auto file = parse("", "[key]\n" + text);
    EXPECT_TRUE(file.profile) << file.profile.error().sentence();
    return file.profile ? file.profile->key.authorization : KeyAuthorization();
  };
  EXPECT_EQ(authorization(""), KeyAuthorization(NoAuthorization()));
  EXPECT_EQ(authorization("authorization = \"none\"\n"), KeyAuthorization(NoAuthorization()));
  EXPECT_EQ(authorization("authorization = \"value\"\n"), KeyAuthorization(AuthValue()));
  EXPECT_EQ(authorization("authorization = \"pcr\"\npcr = \"sha256:7,0,2\"\n"),
            KeyAuthorization(PcrPolicy{.registers = {0, 2, 7}}));
  EXPECT_EQ(authorization("authorization = \"pcr\"\npcr = \"sha384:23\"\n"),
            KeyAuthorization(PcrPolicy{.bank = Digest::sha384, .registers = {23}}));
}

struct Bad {
  std::string top;
  std::string tables;
  std::string complaint;  ///< how the sentence begins, after "/p.toml:"
  std::string hint;       ///< in the hint
};
void PrintTo(const Bad& bad, std::ostream* out) { *out << bad.complaint; }

class AWrongPlace : public testing::TestWithParam<Bad> {};

TEST_P(AWrongPlace, IsRefusedWhereItIsWritten) {
  const auto file = parse(GetParam().top, GetParam().tables);
  ASSERT_FALSE(file.profile);
  EXPECT_EQ(file.profile.error().code, Errc::config_invalid);
  EXPECT_THAT(file.profile.error().sentence(), testing::StartsWith("/p.toml:" + GetParam().complaint));
  EXPECT_THAT(file.profile.error().hint, HasSubstr(GetParam().hint));
}

INSTANTIATE_TEST_SUITE_P(
    OfTheIdevid, AWrongPlace,
    testing::Values(
        Bad{"idevid = \"\"\n", "", "1:10: idevid is empty", "devid.toml(5)"},
        Bad{"idevid = 7\n", "", "1:10: idevid must be a table, not an integer", "[idevid]"},
        Bad{"idevid = \"everywhere\"\n", "", "1:10: idevid cannot be 'everywhere': it is no place of a key",
            "\"auto\""},
        Bad{"idevid = \"handel:0x81020000\"\n", "",
            "1:10: idevid cannot be 'handel:0x81020000': ", "handle:0x81020000"},
        Bad{"idevid = \"handle:81020000\"\n", "", "1:10: idevid cannot be 'handle:81020000': a handle has 8", ""},
        Bad{"idevid = \"handle:0x8102000g\"\n", "", "1:10: idevid cannot be", ""},
        Bad{"idevid = \"nv:0x1c90200\"\n", "", "1:10: idevid cannot be 'nv:0x1c90200': an NV index has 8", "nv:0x01c9"},
        Bad{"idevid = \"template:2\"\n", "", "1:10: idevid cannot be 'template:2': a template is H-1", ""},
        Bad{"idevid = \"template:H-2/\"\n", "", "1:10: idevid cannot be 'template:H-2/'", ""},
        Bad{"idevid = \"/etc/idevid.pem\"\n", "", "1:10: idevid cannot be '/etc/idevid.pem'", "[idevid]"},
        Bad{"idevid = \"pkcs11:a b=c\"\n", "", "1:10: idevid cannot be", ""},
        Bad{"", "[idevid]\nkey = \"\"\n", "5:7: idevid.key is empty", ""},
        Bad{"", "[idevid]\nkey = \"nv:0x01c90200\"\n", "5:7: idevid.key cannot be 'nv:0x01c90200'", "handle:"},
        Bad{"", "[idevid]\ncertificate = \"idevid.pem\"\n", "5:15: idevid.certificate cannot be 'idevid.pem'", "/etc/"},
        Bad{"", "[idevid]\ncertificate = \"handle:0x81020000\"\n", "5:15: idevid.certificate cannot be", "nv:"},
        Bad{"", "[idevid]\nallow_expired = \"yes\"\n", "5:17: idevid.allow_expired must be a boolean, not a string",
            "true or false"},
        Bad{"", "[idevid]\ntoken = \"hsn\"\n", "5:9: there is no token 'hsn'", "tokens: tpm, hsm"},
        Bad{"", "[idevid]\nkey = \"handle:0x81020000\"\ncertificate = \"pkcs11:id=%01\"\n",
            "6:15: idevid.key and idevid.certificate are in different kinds of token", "in the token of its key"}));

INSTANTIATE_TEST_SUITE_P(
    OfAToken, AWrongPlace,
    testing::Values(Bad{"token = \"pkcs11:token\"\n", "", "1:9: this is no PKCS#11 URI: an attribute has no", "LABEL"},
                    Bad{"token = \"pkcs11:=x\"\n", "", "1:9: this is no PKCS#11 URI: an attribute has no", ""},
                    Bad{"token = \"pkcs11:token=a b\"\n", "", "1:9: this is no PKCS#11 URI: the value", ""},
                    Bad{"token = \"pkcs11:token=a%2\"\n", "", "1:9: this is no PKCS#11 URI: a '%' must", ""},
                    Bad{"token = \"pkcs11:token=a;\"\n", "", "1:9: this is no PKCS#11 URI: it ends in", ""},
                    Bad{"token = \"pkcs11:token=a?\"\n", "", "1:9: this is no PKCS#11 URI: nothing follows", ""},
                    Bad{"token = \"pkcs11:to ken=a\"\n", "", "1:9: this is no PKCS#11 URI: the name of an", ""}));

INSTANTIATE_TEST_SUITE_P(
    OfAKey, AWrongPlace,
    testing::Values(Bad{"", "[key]\nauthorization = \"password\"\n", "5:17: key.authorization cannot be 'password'",
                        "\"value\""},
                    Bad{"", "[key]\nauthorization = \"pcr\"\n", "4:1: key.pcr is missing", "sha256:0,2,7"},
                    Bad{"", "[key]\npcr = \"sha256:0\"\n", "5:7: key.pcr is without authorization = \"pcr\"", ""},
                    Bad{"", "[key]\nauthorization = \"value\"\npcr = \"sha256:0\"\n", "6:7: key.pcr is without", ""},
                    Bad{"token = \"hsm\"\n", "[key]\nauthorization = \"value\"\n",
                        "6:17: key.authorization cannot be 'value' outside of the TPM", "PIN"}));

TEST(ThePcrsOfAKey, AreABankAndItsRegisters) {
  for (const std::string text :
       {"sha256", "sha256:", "sha1:0", "sha256:24", "sha256:0,,1", "sha256:0,", "sha256:,0", "sha256:0,0", "sha256:-1",
        "sha256:0 ,1", "0,1", "sha256:a", "SHA256:0", "sha256:0-3", ":0"}) {
    const auto file = parse("", "[key]\nauthorization = \"pcr\"\npcr = \"" + text + "\"\n");
    ASSERT_FALSE(file.profile) << text;
    EXPECT_THAT(file.profile.error().sentence(), testing::StartsWith("/p.toml:6:7: key.pcr cannot be '" + text + "'"));
  }
}

TEST(APinInAProfile, IsRefusedAndNotRepeated) {
  for (const std::string uri : {"pkcs11:token=dev?pin-value=4711", "pkcs11:token=dev;pin-value=4711",
                                "pkcs11:token=dev?x=y&PIN-Value=4711", "pcks11:token=dev?pin-value=4711"}) {
    for (const auto& [text, place] : std::vector<std::pair<std::string, std::string>>{
             {"token = \"" + uri + "\"\n" + server, "1:9: token"},
             {"idevid = \"" + uri + "\"\n" + server, "1:10: idevid"},
             {server + "[idevid]\nkey = \"" + uri + "\"\n", "5:7: idevid.key"},
             {server + "[idevid]\ntoken = \"" + uri + "\"\n", "5:9: idevid.token"},
             {server + "[idevid]\ncertificate = \"" + uri + "\"\n", "5:15: idevid.certificate"}}) {
      const auto file = parse_profile(text, "/p.toml", {"tpm"});
      ASSERT_FALSE(file.profile) << text;
      const Error& error = file.profile.error();
      EXPECT_EQ(error.what, "/p.toml:" + place + " holds a pin-value: a PIN is never written down itself");
      EXPECT_THAT(error.sentence() + error.hint, Not(HasSubstr("4711")));
      EXPECT_THAT(error.hint, HasSubstr("pin-source"));
    }
  }
}

TEST(APinInAProfile, IsRefusedAndNotRepeatedWhereItsPlaceBelongs) {
  for (const std::string uri : {"pkcs11:token=dev?pin-source=4711", "pkcs11:token=dev?PIN-Source=4711",
                                "pkcs11:token=dev?pin-source=file:/pin&pin-source=4711", "pkcs11:?pin-source=%34711"}) {
    for (const std::string& text : {"token = \"" + uri + "\"\n" + server, "idevid = \"" + uri + "\"\n" + server}) {
      const auto file = parse_profile(text, "/p.toml", {"tpm"});
      ASSERT_FALSE(file.profile) << text;
      EXPECT_THAT(file.profile.error().what, HasSubstr("a PIN is never written down itself"));
      EXPECT_THAT(file.profile.error().sentence() + file.profile.error().hint, Not(HasSubstr("711")));
    }
  }
  for (const char* place : {"file:/etc/pin", "/etc/pin", "%2Fetc/pin", "file%3A/etc/pin", "credential:pin"}) {
    const auto file =
        parse_profile("token = \"pkcs11:token=dev?pin-source=" + std::string(place) + "\"\n" + server, "/p.toml", {});
    EXPECT_TRUE(file.profile) << place << ": " << file.profile.error().sentence();
  }
}

}  // namespace
}  // namespace devid::identity
