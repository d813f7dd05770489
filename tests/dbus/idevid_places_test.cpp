// Wherever a factory put the IDevID, and however a profile names the place: enrollment with the real devidd.

#include <gtest/gtest.h>

#include <fstream>
#include <iostream>
#include <iterator>

#include "tests/dbus/hsm_device.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string content_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

void expect_enrolls(Device& device) {
  const auto enrolled = device.ctl({"enroll", "gateway"});
  EXPECT_EQ(enrolled.status, 0) << enrolled.errors << device.bus().log();
}

/// The row of `devidctl doctor` about a place.
json row(const Device& device, const std::string& location) {
  const auto outcome = device.ctl({"doctor", "--json"});
  const json diagnosis = json::parse(outcome.output);
  for (const auto& one : diagnosis["evidence"])
    if (one["location"] == location) return one;
  ADD_FAILURE() << "no row about " << location << " in " << outcome.output;
  return {{"found", ""}, {"verdict", ""}, {"why", ""}};
}

/// What the manufacturer of the TPM left as files.
fs::path factory(const Device& device) { return device.configuration().parent_path() / "factory"; }

/// One way to say in a profile where the IDevID is; FILE stands for that of its certificate.
struct Way {
  std::string name;
  std::string top;
  std::string table;
};
void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }  // NOLINT: the name is GoogleTest's

std::string with_file(std::string text, const fs::path& file) {
  if (const auto at = text.find("FILE"); at != std::string::npos) text.replace(at, 4, file.string());
  return text;
}

class AnIdevidInTheTpm : public testing::TestWithParam<Way> {};

TEST_P(AnIdevidInTheTpm, IsUsedFromWhereTheProfileSays) {
  Device device;
  const bool in_file = holds(GetParam().table, "FILE");
  if (in_file) run_tpm2(device.swtpm().tcti(), "tpm2_nvundefine -Q -C p 0x01C90200");
  device.write_profile("gateway", with_file(GetParam().table, factory(device) / "idevid.pem"), GetParam().top);
  expect_enrolls(device);
}

INSTANTIATE_TEST_SUITE_P(
    NamedAs, AnIdevidInTheTpm,
    testing::Values(Way{"Auto", "idevid = \"auto\"\n", ""}, Way{"Handle", "idevid = \"handle:0x81020000\"\n", ""},
                    Way{"NvIndex", "idevid = \"nv:0x01c90200\"\n", ""},
                    Way{"Template", "idevid = \"template:H-2\"\n", ""},
                    Way{"TemplateInOneForm", "idevid = \"template:H-2/both\"\n", ""},
                    Way{"HandleAndNvIndex", "",
                        "[idevid]\nkey = \"handle:0x81020000\"\ncertificate = \"nv:0x01c90200\"\n"},
                    Way{"FileAlone", "", "[idevid]\ncertificate = \"FILE\"\n"},
                    Way{"HandleAndFile", "", "[idevid]\nkey = \"handle:0x81020000\"\ncertificate = \"FILE\"\n"},
                    Way{"TemplateAndFile", "", "[idevid]\nkey = \"template:H-2\"\ncertificate = \"FILE\"\n"}),
    [](const auto& of) { return of.param.name; });

struct Factory {
  std::string name;
  FactoryHabits habits;
};
void PrintTo(const Factory& factory, std::ostream* out) { *out << factory.name; }  // NOLINT: the name is GoogleTest's

class AnIdevidOfAFactory : public testing::TestWithParam<Factory> {};

TEST_P(AnIdevidOfAFactory, IsFoundWhateverItsHabits) {
  Device device({.factory = GetParam().habits});
  expect_enrolls(device);
  EXPECT_LE(device.tap().seen().most_transient, 2U);
}

INSTANTIATE_TEST_SUITE_P(
    With, AnIdevidOfAFactory,
    testing::Values(Factory{"H1", FactoryHabits{.key_template = "H-1", .unique = "plain"}},
                    Factory{"H3", FactoryHabits{.key_template = "H-3"}},
                    Factory{"H4", FactoryHabits{.key_template = "H-4"}},
                    Factory{"DerivedH1", FactoryHabits{.key_template = "H-1", .unique = "plain", .persistent = false}},
                    Factory{"PaddingInNv", FactoryHabits{.padding = 200}},
                    Factory{"TheOlderIndex", FactoryHabits{.index = "0x01c90000"}},
                    Factory{"APolicyOnly", FactoryHabits{.user_with_auth = false}}),
    [](const auto& of) { return of.param.name; });

TEST(ADeviceWhoseTpmIsFullOfOtherThings, FindsItsIdevidInFourCommandsForEachCandidate) {
  Device device;
  const TemporaryDirectory work;
  run_tpm2(device.swtpm().tcti(),
           "cd " + work.path().string() +
               "; tpm2_createprimary -Q -C o -G ecc256:ecdsa -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|"
               "sign' -c key.ctx; tpm2_flushcontext -t; for i in 1 2 3 4 5 6 7 8 9; do "
               "tpm2_evictcontrol -Q -C o -c key.ctx 0x8102000$i; tpm2_flushcontext -t; "
               "tpm2_nvdefine -Q -C o -s 8 0x0180000$i; done; "
               "head -c 500 /dev/zero >zeros; for i in 0 1 2 3 4 5 6 7 8; do "
               "tpm2_nvdefine -Q -C o -s 8 0x01c9030$i; done; "
               "tpm2_nvdefine -Q -C o -s 500 0x01c90000; tpm2_nvwrite -Q -C o 0x01c90000 -i zeros");
  ASSERT_EQ(count_handles(device.swtpm().tcti(), "persistent"), 10U);
  ASSERT_EQ(count_handles(device.swtpm().tcti(), "nv-index"), 20U);
  ASSERT_EQ(device.ctl({"status"}).status, 1) << "not enrolled, and devidd runs";
  device.tap().reset();
  const auto outcome = device.ctl({"doctor", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.output << outcome.errors;
  const std::size_t candidates = json::parse(outcome.output)["evidence"].size();
  EXPECT_EQ(candidates, 12U) << "ten keys and two certificates: " << outcome.output;
  const auto seen = device.tap().seen();
  std::cout << "doctor: " << candidates << " candidates, " << seen.summary() << "\n";
  EXPECT_LE(seen.commands.size() - seen.retried, 4 * candidates);
  EXPECT_EQ(count_handles(device.swtpm().tcti(), "persistent"), 10U) << "the doctor changes nothing";
}

TEST(TheDoctor, ChangesNothingInATpmWithAKeyThatNeedsItsPolicy) {
  Device device({.factory = {.user_with_auth = false}});
  ASSERT_EQ(device.ctl({"doctor"}).status, 0);
  ASSERT_TRUE(device.bus().kill_owner(SIGTERM));
  EXPECT_EQ(count_handles(device.swtpm().tcti(), "persistent"), 1U) << "that of the factory";
  EXPECT_EQ(count_handles(device.swtpm().tcti(), "transient"), 0U);
}

/// Several forms of one certificate, in a file that devid.toml names.
TEST(AnIdevidCertificateInAFile, IsPemOrDerAndMayHaveItsChain) {
  const TemporaryDirectory files;
  const fs::path file = files.path() / "idevid";
  Device device({.configuration = "[idevid]\ncertificates = [\"" + file.string() + "\"]\n"});
  run_tpm2(device.swtpm().tcti(), "tpm2_nvundefine -Q -C p 0x01C90200");
  const std::string pem = content_of(factory(device) / "idevid.pem");
  const std::string ca = content_of(factory(device) / "manufacturer-ca.pem");
  for (const std::string& content : {pem, pem_to_der(pem), pem + ca}) {
    std::ofstream(file, std::ios::trunc | std::ios::binary) << content;
    const auto enrolled = device.ctl({"enroll", "gateway", "--force"});
    EXPECT_EQ(enrolled.status, 0) << enrolled.errors << device.bus().log();
    fs::remove_all(device.state() / "gateway");
    ASSERT_TRUE(device.bus().kill_owner(SIGTERM));
  }
  std::string nine = pem;
  for (int i = 0; i < 8; ++i) nine += ca;
  for (const auto& [content, why] :
       {std::pair{pem_to_der(pem) + "x", "bytes follow the certificate"}, std::pair{nine, "more than 8 certificates"},
        std::pair{ca, "a CA's certificate is no IDevID"}}) {
    std::ofstream(file, std::ios::trunc | std::ios::binary) << content;
    EXPECT_TRUE(holds(row(device, file.string())["why"], why)) << row(device, file.string());
    EXPECT_EQ(device.ctl({"enroll", "gateway"}).status, 1);
    EXPECT_EQ(device.status()["last_error"]["code"], "IdevidMissing");
  }
}

TEST(AnIdevidOutOfReach, IsShownByTheDoctorWithTheReason) {
  Device device;
  run_tpm2(device.swtpm().tcti(),
           "tpm2_nvundefine -Q -C p 0x01C90200; tpm2_nvdefine -Q -C p 0x01C90200 -s 600 -a "
           "'ppwrite|ppread|ownerread|authread|no_da|platformcreate'; head -c 600 /dev/urandom | tr '\\060' '\\061' | "
           "tpm2_nvwrite -Q -C p 0x01C90200 -i -");
  EXPECT_EQ(row(device, "nv:0x01c90200")["found"], "no certificate of an IDevID");
  EXPECT_TRUE(holds(row(device, "handle:0x81020000")["why"], "no certificate for it"));
  const auto doctor = device.ctl({"doctor"});
  EXPECT_EQ(doctor.status, 1);
  EXPECT_TRUE(holds(doctor.output, "certificates = [\"/path\"]")) << doctor.output;
  EXPECT_EQ(device.ctl({"enroll", "gateway"}).status, 1);
  EXPECT_TRUE(holds(device.ctl({"status"}).output, "devidctl doctor")) << device.ctl({"status"}).output;
}

TEST(ADeviceWithoutAnIdevid, IsShownEveryPlaceThatWasLookedAt) {
  HsmDevice site(HsmDevice::Idevid::in_tpm);
  run_tpm2(site.device().swtpm().tcti(), "tpm2_nvundefine -Q -C p 0x01C90200; tpm2_evictcontrol -Q -C o -c 0x81020000");
  const auto doctor = site.device().ctl({"doctor"});
  EXPECT_EQ(doctor.status, 1);
  for (const char* place : {"nv:0x01c90200", "nv:0x01c90000", "nv:0x01c90100", "handle:0x81020000", "template:H-1",
                            "pkcs11:", "[pkcs11.NAME]"})
    EXPECT_TRUE(holds(doctor.output, place)) << place << " in " << doctor.output;
}

class AnIdevidInAnHsm : public testing::Test {
 protected:
  static void expect_enrolls_as(HsmDevice& site, const std::string& top, const std::string& table) {
    site.device().write_profile("gateway", table, "token = \"hsm\"\n" + top);
    expect_enrolls(site.device());
  }
};

TEST_F(AnIdevidInAnHsm, IsNamedByIdOrLabel) {
  for (const char* place : {"pkcs11:id=%01", "pkcs11:object=idevid", "pkcs11:token=dev;id=%01;object=idevid"}) {
    SCOPED_TRACE(place);
    HsmDevice site(HsmDevice::Idevid::in_hsm);
    expect_enrolls_as(site, "idevid = \"" + std::string(place) + "\"\n", "");
  }
}

TEST_F(AnIdevidInAnHsm, MayHaveItsCertificateInAFile) {
  HsmDevice site(HsmDevice::Idevid::in_tpm);
  const auto made = site.hsm().manufacture(site.hsm().token(), site.device().pki(), "hsm manufacturer",
                                           {.public_object = true, .certificate_object = false});
  expect_enrolls_as(site, "",
                    "[idevid]\ntoken = \"hsm\"\ncertificate = \"" + made.certificate.certificate.string() + "\"\n");
}

TEST_F(AnIdevidInAnHsm, WithoutItsKeyIsACertificateOfNoUse) {
  HsmDevice site(HsmDevice::Idevid::in_hsm);
  site.hsm().delete_object(site.hsm().token(), "privkey", "01");
  site.hsm().delete_object(site.hsm().token(), "pubkey", "01");
  EXPECT_EQ(row(site.device(), "pkcs11:id=%01")["why"], "no key for it");
  EXPECT_EQ(site.device().ctl({"doctor"}).status, 1);
}

TEST_F(AnIdevidInAnHsm, ThatHasExpiredIsUsedOnlyWhereTheProfileAllowsItAndTheJournalSaysSo) {
  HsmDevice site(HsmDevice::Idevid::in_hsm);
  Device& device = site.device();
  const auto& ca = device.pki().ca("hsm manufacturer");
  const TemporaryDirectory work;
  const std::string place = work.path();
  output_of({.argv = {"bash", "-euo", "pipefail", "-c",
                      "pkcs11-tool --module " + SoftHsm::module().string() +
                          " --read-object --type pubkey --id 01 --output-file public.der && "
                          "openssl pkey -pubin -inform DER -in public.der -out public.pem && "
                          "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null "
                          "-subj /CN=Device/serialNumber=DEV-0001 -out any.csr && "
                          "openssl x509 -req -in any.csr -force_pubkey public.pem -days -1 -set_serial 7 -CA " +
                          ca.certificate.string() + " -CAkey " + ca.key.string() + " -outform DER -out expired.der"},
             .environment = {site.hsm().environment()},
             .directory = work.path()});
  site.hsm().delete_object(site.hsm().token(), "cert", "01");
  site.hsm().put_certificate(site.hsm().token(), "01", place + "/expired.der");
  device.write_profile("gateway", {}, "token = \"hsm\"\n");
  const auto refused = device.ctl({"enroll", "gateway"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(holds(refused.errors, "the IDevID expired on")) << refused.errors;
  EXPECT_TRUE(holds(refused.errors, "allow_expired = true")) << refused.errors;
  EXPECT_EQ(device.status()["last_error"]["code"], "IdevidExpired");
  EXPECT_TRUE(holds(row(device, "pkcs11:id=%01")["why"], "allow_expired is not set"));
  EXPECT_EQ(device.server().connections(), 0U);

  device.write_profile("gateway", "[idevid]\nallow_expired = true\n", "token = \"hsm\"\n");
  ASSERT_EQ(device.ctl({"reload"}).status, 0);
  static_cast<void>(device.ctl({"enroll", "gateway"}));  // whether the server takes it is the server's to say
  EXPECT_GT(device.server().connections(), 0U);
  EXPECT_TRUE(holds(device.bus().log(), "it is used because the profile allows it")) << device.bus().log();
}

}  // namespace
}  // namespace devid::test
