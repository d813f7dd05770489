// How many TPM commands and slots devid's work costs, as a probe on the bus sees it.

#include <algorithm>
#include <array>
#include <iostream>

#include "tests/tokens/tpm/device_tpm.h"
#include "tokens/tpm/tss2_pem.h"

namespace devid::test {
namespace {

class ATpmBudget : public DeviceTpm {
 protected:
  void SetUp() override {
    // The storage root key is there, as it is after the first enrollment of any program.
    ASSERT_TRUE(created(*token_));
    token_ = new_token();
    tap_.reset();
  }

  TpmTap::Seen report(const std::string& what) const {
    const auto seen = tap_.seen();
    std::cout << what << ": " << seen.summary() << "\n";
    RecordProperty("tpm_commands", static_cast<int>(seen.commands.size()));
    return seen;
  }
};

TEST_F(ATpmBudget, CoversAnEnrollmentWithTheIDevIDInElevenCommands) {
  {
    const auto identity = idevid(*token_);
    ASSERT_TRUE(identity);
    ASSERT_TRUE(token_->read_certificate(factory_.certificate_location));
    auto key = created(*token_);
    ASSERT_TRUE(key);
    expect_signs(*key);       // CSR
    expect_signs(*identity);  // TLS
    auto stored = token_->open_key(key->pem());
    ASSERT_TRUE(stored) << stored.error().sentence();
    expect_signs(**stored);  // the file as it was written signs for the certificate
  }
  const auto seen = report("enrollment");
  EXPECT_LE(seen.commands.size() - seen.retried, 11U);
  EXPECT_LE(seen.most_transient, 2U);
  EXPECT_LE(seen.most_before_create_or_load, 1U);
  EXPECT_EQ(tap_.transient_objects(), 0U);
}

TEST_F(ATpmBudget, CoversAnEnrollmentThatAuthenticatesBeforeItMakesTheKey) {
  {
    const auto identity = idevid(*token_);
    ASSERT_TRUE(identity);
    ASSERT_TRUE(token_->read_certificate(factory_.certificate_location));
    expect_signs(*identity);
    auto key = created(*token_);
    ASSERT_TRUE(key);
    expect_signs(*key);
    auto stored = token_->open_key(key->pem());
    ASSERT_TRUE(stored) << stored.error().sentence();
    expect_signs(**stored);
  }
  const auto seen = report("enrollment, TLS first");
  EXPECT_LE(seen.commands.size() - seen.retried, 11U);
  EXPECT_EQ(seen.most_transient, 1U);
  EXPECT_EQ(seen.most_before_create_or_load, 0U);
}

TEST_F(ATpmBudget, CoversAnEnrollmentWithAnIdevidThatIsDerivedFromItsTemplate) {
  {
    const auto identity = token_->open_key_at("template:H-2/both");
    ASSERT_TRUE(identity) << identity.error().sentence();
    ASSERT_TRUE(token_->read_certificate(factory_.certificate_location));
    expect_signs(**identity);  // TLS
    auto key = created(*token_);
    ASSERT_TRUE(key);
    expect_signs(*key);  // CSR
    auto stored = token_->open_key(key->pem());
    ASSERT_TRUE(stored) << stored.error().sentence();
    expect_signs(**stored);
  }
  const auto seen = report("enrollment with a derived IDevID");
  EXPECT_EQ(seen.count(TpmCommand::create_primary), 1U);
  EXPECT_LE(seen.commands.size() - seen.retried, 12U);
  EXPECT_EQ(seen.most_transient, 1U);
  EXPECT_EQ(seen.most_before_create_or_load, 0U);
  EXPECT_EQ(tap_.transient_objects(), 0U);
}

TEST_F(ATpmBudget, CoversARenewalInFourteenCommandsWithOneKeyLoadedAtATime) {
  const std::string old_pem = created(*token_)->pem();
  token_ = new_token();
  tap_.reset();
  {
    const auto old_key = token_->open_key(old_pem);
    ASSERT_TRUE(old_key);
    expect_signs(**old_key);  // TLS
    const auto key = created(*token_);
    ASSERT_TRUE(key);
    expect_signs(*key);  // CSR
    const auto stored = token_->open_key(key->pem());
    ASSERT_TRUE(stored);
    expect_signs(**stored);
  }
  token_.reset();
  const auto seen = report("renewal, with the end of the session");
  EXPECT_LE(seen.commands.size() - seen.retried, 14U);
  EXPECT_EQ(seen.most_transient, 1U);
  EXPECT_EQ(seen.most_before_create_or_load, 0U);
  EXPECT_EQ(tap_.transient_objects(), 0U);
  EXPECT_EQ(tap_.sessions(), 0U);
}

TEST_F(ATpmBudget, CoversARenewalWhoseCsrIsSignedBeforeTls) {
  const std::string old_pem = created(*token_)->pem();
  token_ = new_token();
  tap_.reset();
  {
    const auto old_key = token_->open_key(old_pem);
    ASSERT_TRUE(old_key);
    const auto key = created(*token_);
    ASSERT_TRUE(key);
    expect_signs(*key);
    expect_signs(**old_key);
    const auto stored = token_->open_key(key->pem());
    ASSERT_TRUE(stored);
    expect_signs(**stored);
  }
  token_.reset();
  const auto seen = report("renewal, CSR first, with the end of the session");
  EXPECT_LE(seen.commands.size() - seen.retried, 14U);
  EXPECT_EQ(seen.most_before_create_or_load, 0U);
}

TEST_F(ATpmBudget, CoversAnotherSignatureWithOneCommand) {
  const auto key = created(*token_);
  ASSERT_TRUE(key);
  expect_signs(*key);
  tap_.reset();
  expect_signs(*key);
  EXPECT_THAT(tap_.seen().commands, testing::ElementsAre(TpmCommand::sign));
}

TEST_F(ATpmBudget, CoversAKeyThatIsOpenTwiceWithOneLoad) {
  auto key = created(*token_);
  ASSERT_TRUE(key);
  auto stored = token_->open_key(key->pem());
  ASSERT_TRUE(stored) << stored.error().sentence();
  tap_.reset();
  expect_signs(*key);
  key.reset();
  expect_signs(**stored);
  EXPECT_EQ(tap_.transient_objects(), 1U);
  stored->reset();
  EXPECT_EQ(tap_.transient_objects(), 0U);
  EXPECT_EQ(tap_.seen().count(TpmCommand::load), 1U);
}

TEST_F(ATpmBudget, IsNotTouchedByOpeningAKeyFile) {
  const std::string pem = created(*token_)->pem();
  token_ = new_token();
  tap_.reset();
  const auto key = token_->open_key(pem);
  ASSERT_TRUE(key);
  EXPECT_THAT(token_->description().location, tap_.tcti());
  EXPECT_THAT(tap_.seen().commands, testing::IsEmpty());
}

TEST_F(ATpmBudget, CoversTheMakingOfTheStorageRootKeyOnce) {
  tpm2("tpm2_evictcontrol -Q -C o -c 0x81000001");
  ASSERT_TRUE(created(*token_));
  const auto first = report("first key, without a storage root key");
  EXPECT_EQ(first.count(TpmCommand::create_primary), 1U);
  EXPECT_EQ(first.count(TpmCommand::evict_control), 1U);
  EXPECT_LE(first.commands.size(), 6U);
  const std::string made = tpm2("tpm2_readpublic -c 0x81000001 -f pem -o /dev/stdout");

  token_ = new_token();
  tap_.reset();
  ASSERT_TRUE(created(*token_));
  EXPECT_EQ(tap_.seen().count(TpmCommand::create_primary), 0U);
  EXPECT_EQ(tpm2("tpm2_readpublic -c 0x81000001 -f pem -o /dev/stdout"), made);
}

/// Whether octets appear anywhere in a command.
bool contains(const std::vector<std::uint8_t>& frame, BytesView octets) {
  return !std::ranges::search(frame, octets, {}, {}, [](std::byte byte) {
            return std::to_integer<std::uint8_t>(byte);
          }).empty();
}

using ABus = DeviceTpm;

TEST_F(ABus, CarriesNeitherPasswordsNorDigestsNorKeyBlobsInClear) {
  const auto pem = created(*token_)->pem();
  const auto blob = tpm::read_tss2_pem(pem);
  ASSERT_TRUE(blob);
  token_ = new_token();
  tap_.reset();
  const auto key = token_->open_key(pem);
  ASSERT_TRUE(key);
  expect_signs(**key);

  const auto seen = tap_.seen();
  EXPECT_EQ(seen.count(TpmCommand::load), 1U);
  EXPECT_EQ(seen.count(TpmCommand::sign) - seen.retried, 1U);
  constexpr std::array password_session{std::byte{0x40}, std::byte{0x00}, std::byte{0x00}, std::byte{0x09}};
  const BytesView secret_part = BytesView(blob->private_area).last(32);
  for (const auto& frame : seen.frames) {
    EXPECT_FALSE(contains(frame, password_session));
    EXPECT_FALSE(contains(frame, a_digest()));
    EXPECT_FALSE(contains(frame, secret_part));
  }
}

}  // namespace
}  // namespace devid::test
