#include "agent/identity/configuration_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace devid::identity {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(TheConfigurationOfATpm, SaysHowItIsReachedAndWhereItsSecretsAre) {
  const auto configuration = parse_configuration(R"([tpm]
tcti = "swtpm:port=2321"
srk = "0x81000002"
owner_auth = "credential:owner"
endorsement_auth = "/etc/devid/endorsement"
srk_auth = "credential:srk"
key_auth = "/var/lib/devid/key-auth"
)",
                                                 "/d.toml");
  ASSERT_TRUE(configuration) << configuration.error().sentence();
  EXPECT_EQ(configuration->tpm, (TpmConfiguration{.tcti = "swtpm:port=2321",
                                                  .storage_root = 0x81000002,
                                                  .owner_auth = SystemdCredential{"owner"},
                                                  .endorsement_auth = SecretFile{"/etc/devid/endorsement"},
                                                  .storage_root_auth = SystemdCredential{"srk"},
                                                  .key_auth = SecretFile{"/var/lib/devid/key-auth"}}));
  EXPECT_EQ(parse_configuration("[tpm]\nsrk = \"transient\"\n", "/d.toml")->tpm.storage_root, std::nullopt);
  EXPECT_EQ(parse_configuration("[tpm]\n", "/d.toml")->tpm, TpmConfiguration());
}

TEST(TheConfigurationOfPkcs11Tokens, GivesEachAName) {
  const auto configuration = parse_configuration(R"([pkcs11.hsm]
uri = "pkcs11:token=dev;serial=0001"
module = "/usr/lib/softhsm/libsofthsm2.so"
pin = "credential:hsm-pin"
store_certificates = true
[pkcs11.card]
uri = "pkcs11:token=card?module-path=/x.so&pin-source=file:/etc/devid/pin"
[idevid]
certificates = ["/etc/devid/a.pem", "/etc/devid/b.der"]
)",
                                                 "/d.toml");
  ASSERT_TRUE(configuration) << configuration.error().sentence();
  ASSERT_EQ(configuration->pkcs11.size(), 2U);
  EXPECT_EQ(configuration->pkcs11[0],
            (Pkcs11Configuration{.name = "card",
                                 .uri = "pkcs11:token=card?module-path=/x.so&pin-source=file:/etc/devid/pin"}));
  EXPECT_EQ(configuration->pkcs11[1], (Pkcs11Configuration{.name = "hsm",
                                                           .uri = "pkcs11:token=dev;serial=0001",
                                                           .module = "/usr/lib/softhsm/libsofthsm2.so",
                                                           .pin = SystemdCredential{"hsm-pin"},
                                                           .store_certificates = true}));
  EXPECT_THAT(configuration->idevid_certificates, testing::ElementsAre("/etc/devid/a.pem", "/etc/devid/b.der"));
  EXPECT_THAT(token_names(*configuration), testing::ElementsAre("tpm", "card", "hsm"));
}

struct Bad {
  std::string text;
  std::string complaint;  ///< how the sentence begins, after "/d.toml:"
  std::string hint;       ///< in the hint
};
void PrintTo(const Bad& bad, std::ostream* out) { *out << bad.complaint; }

class AWrongConfiguration : public testing::TestWithParam<Bad> {};

TEST_P(AWrongConfiguration, IsRefusedWhereItIsWritten) {
  const auto configuration = parse_configuration(GetParam().text, "/d.toml");
  ASSERT_FALSE(configuration);
  EXPECT_EQ(configuration.error().code, Errc::config_invalid);
  EXPECT_EQ(configuration.error().retry, Retry::after_operator);
  EXPECT_THAT(configuration.error().sentence(), testing::StartsWith("/d.toml:" + GetParam().complaint));
  EXPECT_THAT(configuration.error().hint, HasSubstr(GetParam().hint));
}

INSTANTIATE_TEST_SUITE_P(
    OfATpm, AWrongConfiguration,
    testing::Values(Bad{"[tpm]\nsrk = \"0x80ffffff\"\n", "2:7: tpm.srk cannot be '0x80ffffff'", "transient"},
                    Bad{"[tpm]\nsrk = \"0x82000000\"\n", "2:7: tpm.srk cannot be '0x82000000'", ""},
                    Bad{"[tpm]\nsrk = \"81000001\"\n", "2:7: tpm.srk cannot be '81000001'", ""},
                    Bad{"[tpm]\nsrk = \"0x8100000g\"\n", "2:7: tpm.srk cannot be '0x8100000g'", ""},
                    Bad{"[tpm]\nsrk = \"0x810000011\"\n", "2:7: tpm.srk cannot be '0x810000011'", ""},
                    Bad{"[tpm]\nsrk = 0x81000001\n", "2:7: tpm.srk must be a string, not an integer", "quotes"},
                    Bad{"[tpm]\nkey_auth = \"secret\"\n", "2:12: tpm.key_auth: a secret is named by where it is",
                        "credential:NAME"},
                    Bad{"[tpm]\nowner_auth = \"credential:a/b\"\n", "2:14: tpm.owner_auth: a secret is named by", ""},
                    Bad{"[tpm]\nsrk_autj = \"/a\"\n", "2:1: unknown key 'srk_autj' in [tpm]", "srk_auth"}));

INSTANTIATE_TEST_SUITE_P(
    OfATokenOfPkcs11, AWrongConfiguration,
    testing::Values(
        Bad{"pkcs11 = 1\n", "1:10: pkcs11 must be a table, not an integer", "[pkcs11]"},
        Bad{"[pkcs11]\nuri = \"pkcs11:\"\n", "2:7: pkcs11.uri must be a table, not a string", "[pkcs11.uri]"},
        Bad{"[pkcs11.hsm]\n", "1:1: pkcs11.hsm.uri is missing", "pkcs11:token=LABEL"},
        Bad{"[pkcs11.tpm]\nuri = \"pkcs11:\"\n", "1:1: 'tpm' cannot be the name of a PKCS#11 token", "not \"tpm\""},
        Bad{"[pkcs11.\"A b\"]\nuri = \"pkcs11:\"\n", "1:1: 'A b' cannot be the name of a PKCS#11 token", "a-z"},
        Bad{"[pkcs11.hsm]\nuri = \"token=x\"\n", "2:7: this is no PKCS#11 URI: it does not begin with", "LABEL"},
        Bad{"[pkcs11.hsm]\nuri = \"pkcs11:\"\nmodule = \"softhsm\"\n", "3:10: pkcs11.hsm.module must be an absolute",
            ""},
        Bad{"[pkcs11.hsm]\nuri = \"pkcs11:\"\npin = \"1234\"\n", "3:7: pkcs11.hsm.pin: a secret is named by", ""},
        Bad{"[pkcs11.hsm]\nuri = \"pkcs11:\"\nstore_certificates = 1\n",
            "3:22: pkcs11.hsm.store_certificates must be a boolean, not an integer", "true or false"},
        Bad{"[pkcs11.hsm]\nuri = \"pkcs11:\"\npins = \"/a\"\n", "3:1: unknown key 'pins' in [pkcs11.hsm]", "'pin'"}));

INSTANTIATE_TEST_SUITE_P(OfTheIdevid, AWrongConfiguration,
                         testing::Values(Bad{"[idevid]\ncertificates = \"/a\"\n",
                                             "2:16: idevid.certificates must be an array of strings", ""},
                                         Bad{"[idevid]\ncertificates = [\"/a\", \"b\"]\n",
                                             "2:23: idevid.certificates must hold absolute paths", ""},
                                         Bad{"[idevid]\nkey = \"handle:0x81020000\"\n",
                                             "2:1: unknown key 'key' in [idevid]", "certificates"}));

TEST(APinInTheConfiguration, IsRefusedAndNotRepeated) {
  for (const auto& [text, name] : std::vector<std::pair<std::string, std::string>>{
           {"[pkcs11.hsm]\nuri = \"pkcs11:token=a?pin-value=4711\"\n", "2:7: pkcs11.hsm.uri holds a pin-value"},
           {"[pkcs11.hsm]\nuri = \"pkcs11:\"\npin = \"4711\"\n", "3:7: pkcs11.hsm.pin: a secret is named by"},
           {"[tpm]\nkey_auth = \"4711\"\n", "2:12: tpm.key_auth: a secret is named by"}}) {
    const auto configuration = parse_configuration(text, "/d.toml");
    ASSERT_FALSE(configuration);
    EXPECT_THAT(configuration.error().sentence(), testing::StartsWith("/d.toml:" + name));
    EXPECT_THAT(configuration.error().sentence() + configuration.error().hint, Not(HasSubstr("4711")));
  }
}

}  // namespace
}  // namespace devid::identity
