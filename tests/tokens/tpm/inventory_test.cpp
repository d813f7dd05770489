// What is found in TPMs that others have filled, and what the search costs.

#include <fmt/format.h>

#include <fstream>
#include <iostream>

#include "base/secret_source.h"
#include "tests/support/command.h"
#include "tests/tokens/tpm/device_tpm.h"

namespace devid::test {
namespace {

using testing::HasSubstr;

Bytes der_of(const std::filesystem::path& certificate) {
  return to_bytes(as_bytes(output_of({.argv = {"openssl", "x509", "-in", certificate, "-outform", "DER"}})));
}

class TheInventory : public DeviceTpm {
 protected:
  void define(const std::string& index, std::size_t size, const std::string& attributes) const {
    tpm2(fmt::format("tpm2_nvdefine -Q -C o {} -s {} -a '{}'", index, size, attributes));
  }
  void write(const std::string& index, const Bytes& contents,
             const std::string& attributes = "ownerwrite|ownerread|authread") const {
    define(index, contents.size(), attributes);
    const std::string file = (directory_.path() / "contents").string();
    std::ofstream(file) << as_text(contents);
    tpm2("tpm2_nvwrite -Q -C o " + index + " -i " + file);
  }
  std::vector<CertificateListing> certificates() const {
    auto listed = token_->list_certificates();
    if (listed) return std::move(*listed);
    ADD_FAILURE() << listed.error().sentence();
    return {};
  }
};

TEST_F(TheInventory, HasTheCertificateThatTheFactoryLeft) {
  const auto found = certificates();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].location, factory_.certificate_location);
  ASSERT_TRUE(found[0].content) << found[0].content.error().sentence();
  EXPECT_EQ(*found[0].content, der_of(factory_.certificate));
  const auto seen = tap_.seen();
  EXPECT_LE(seen.commands.size() - seen.retried, 3U) << seen.summary();
}

TEST_F(TheInventory, HasTheIdevidsCertificatesFirstAndTheAttestationKeysLast) {
  write("0x01c90100", Bytes(20, std::byte{1}));
  write("0x01c90000", Bytes(20, std::byte{2}));
  write("0x01c90300", Bytes(20, std::byte{3}));
  write("0x01c8ffff", Bytes(20, std::byte{4}));
  std::vector<std::string> locations;
  for (const auto& certificate : certificates()) locations.push_back(certificate.location);
  EXPECT_THAT(locations, testing::ElementsAre("nv:0x01c90200", "nv:0x01c90000", "nv:0x01c90100"));
}

TEST_F(TheInventory, HasPaddingAndGarbageAsTheyAre) {
  Bytes padded = der_of(factory_.certificate);
  padded.resize(padded.size() + 300, std::byte{0xff});
  write("0x01c90000", padded);
  write("0x01c90100", to_bytes(as_bytes("no certificate")));
  const auto found = certificates();
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[1].content, padded);
  EXPECT_EQ(found[2].content, to_bytes(as_bytes("no certificate")));
}

TEST_F(TheInventory, SaysWhyACertificateCannotBeRead) {
  define("0x01c90000", 10, "ownerwrite|ownerread");
  write("0x01c90100", Bytes(10), "ownerwrite|policyread");
  auto found = certificates();
  ASSERT_EQ(found.size(), 3U);
  EXPECT_THAT(found[1].content, fails_with(Errc::idevid_missing)) << "never written";
  EXPECT_THAT(found[2].content, fails_with(Errc::token_unsupported));
  EXPECT_THAT(found[2].content.error().what, HasSubstr("policy"));
  EXPECT_THAT(found[2].content.error().hint, HasSubstr("file"));
  EXPECT_EQ(tap_.seen().count(TpmCommand::nv_read), 1U) << "what cannot be read is not tried";

  tap_.answer(TpmCommand::nv_read, 0x101);
  EXPECT_THAT(certificates()[0].content, fails_with(Errc::token_failed));
}

TEST_F(TheInventory, HasWhatOnlyTheOwnerMayRead) {
  write("0x01c90000", Bytes(10, std::byte{5}), "ownerwrite|ownerread");
  EXPECT_EQ(certificates()[1].content, Bytes(10, std::byte{5}));
  EXPECT_EQ(tap_.seen().count(TpmCommand::start_auth_session), 0U);

  tpm2("tpm2_changeauth -Q -c o ownersecret");
  const auto refused = certificates();
  ASSERT_EQ(refused.size(), 2U);
  EXPECT_THAT(refused[1].content, fails_with(Errc::token_auth_failed));
  EXPECT_THAT(refused[1].content.error().hint, HasSubstr("owner_auth"));

  const SecretFile password{.path = directory_.path() / "owner"};
  ASSERT_TRUE(write_new_secret(password, as_bytes("ownersecret")));
  token_ = std::make_unique<TpmToken>(TpmSpec{.tcti = tap_.tcti(), .owner_auth = password});
  tap_.reset();
  EXPECT_EQ(certificates()[1].content, Bytes(10, std::byte{5}));
  for (const auto& frame : tap_.seen().frames) {
    EXPECT_EQ(as_text(std::as_bytes(std::span(frame))).find("ownersecret"), std::string_view::npos);
  }
}

TEST(AFactory, MayPutTheCertificateAtTheOlderIndexWithPaddingAfterIt) {
  const TemporaryDirectory directory;
  const Swtpm swtpm;
  const auto made = manufacture(swtpm, directory.path(), FactoryHabits{.index = "0x01c90000", .padding = 700});
  TpmToken token({.tcti = swtpm.tcti()});
  const auto found = token.list_certificates();
  ASSERT_TRUE(found) << found.error().sentence();
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().location, "nv:0x01c90000");
  Bytes padded = der_of(made.certificate);
  padded.resize(padded.size() + 700, std::byte{0xff});
  EXPECT_EQ(found->front().content, padded);
}

TEST_F(TheInventory, OfAnEmptyTpmIsEmpty) {
  const Swtpm other;
  TpmToken token({.tcti = other.tcti()});
  const auto keys = token.list_keys();
  ASSERT_TRUE(keys) << keys.error().sentence();
  EXPECT_TRUE(keys->empty());
  const auto found = token.list_certificates();
  ASSERT_TRUE(found) << found.error().sentence();
  EXPECT_TRUE(found->empty());
}

TEST_F(TheInventory, IsAnErrorWhenTheTpmGoesAwayMeanwhile) {
  tap_.cut_at(3, TpmTap::Cut::before_the_tpm_sees_it);
  token_ = new_token();
  const auto found = token_->list_certificates();
  EXPECT_TRUE(found || found.error().code == Errc::token_unreachable);
  tap_.set_gone(true);
  EXPECT_THAT(token_->list_certificates(), fails_with(Errc::token_unreachable));
  EXPECT_THAT(token_->list_keys(), fails_with(Errc::token_unreachable));
}

TEST_F(TheInventory, ReadsACertificateInFourCommandsWhereOnly768OctetsAreReadAtOnce) {
  write("0x01c90000", Bytes(1200, std::byte{7}));
  tpm2("tpm2_nvundefine -Q -C p 0x01c90200");
  tap_.answer(TpmCommand::nv_read, 0x1c4);  // TPM_RC_VALUE: more than this TPM reads at once
  const auto found = certificates();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].content, Bytes(1200, std::byte{7}));
  const auto seen = tap_.seen();
  EXPECT_LE(seen.commands.size() - seen.retried, 1U + 4U) << seen.summary();
}

TEST_F(TheInventory, OfTenPersistentHandlesAndTwentyIndicesCostsAtMostFourCommandsForEachCandidate) {
  const std::string context = (directory_.path() / "key.ctx").string();
  tpm2("tpm2_createprimary -Q -C o -G ecc256 -c " + context + " && tpm2_flushcontext -t");
  tpm2("tpm2_evictcontrol -Q -C o -c " + context + " 0x81000001 && tpm2_flushcontext -t");
  for (int key = 1; key <= 8; ++key) {
    const char* kind =
        key % 2 == 0 ? "userwithauth|sign' -G ecc256:ecdsa" : "userwithauth|restricted|decrypt' -G ecc256";
    tpm2(
        fmt::format("tpm2_createprimary -Q -C o -g sha256 -a 'fixedtpm|fixedparent|sensitivedataorigin|{} -c {} && "
                    "tpm2_flushcontext -t && tpm2_evictcontrol -Q -C o -c {} 0x810200{:02x} && tpm2_flushcontext -t",
                    kind, context, context, key));
  }
  for (int index = 0; index < 9; ++index) define(fmt::format("0x0180000{}", index), 8, "ownerwrite|ownerread");
  for (int index = 0; index < 8; ++index) define(fmt::format("0x01c9030{}", index), 8, "ownerwrite|ownerread");
  write("0x01c90000", Bytes(900, std::byte{1}));
  write("0x01c90100", Bytes(900, std::byte{2}));
  ASSERT_EQ(count_handles(swtpm_.tcti(), "persistent"), 10U);
  ASSERT_EQ(count_handles(swtpm_.tcti(), "nv-index"), 20U);

  token_ = new_token();
  tap_.reset();
  const auto keys = token_->list_keys();
  ASSERT_TRUE(keys) << keys.error().sentence();
  EXPECT_EQ(keys->size(), 10U);
  const auto found = certificates();
  EXPECT_EQ(found.size(), 3U);
  const auto identity = idevid(*token_);
  ASSERT_TRUE(identity);
  expect_signs(*identity);
  const auto seen = tap_.seen();
  std::cout << "discovery: " << seen.summary() << "\n";
  RecordProperty("tpm_commands", static_cast<int>(seen.commands.size()));
  const std::size_t candidates = keys->size() + found.size();
  EXPECT_LE(seen.commands.size() - seen.retried, 4 * candidates);
  // Two lists, one command a key, two a certificate, and four to open the IDevID, start the session, and sign.
  EXPECT_LE(seen.commands.size() - seen.retried, 2 + 10 + 2 * 3 + 4);
}

}  // namespace
}  // namespace devid::test
