// IDevIDs as different factories make them: each is opened, signs, and is the key of its certificate.

#include <filesystem>
#include <fstream>

#include "tests/support/command.h"
#include "tests/tokens/tpm/device_tpm.h"

namespace devid::test {
namespace {

using testing::HasSubstr;

/// The public key in the certificate of a PEM file, DER, as the openssl command sees it.
Bytes key_certified_in(const std::filesystem::path& certificate) {
  return to_bytes(as_bytes(output_of({.argv = {"bash", "-c",
                                               "set -o pipefail; openssl x509 -in \"$1\" -noout -pubkey | "
                                               "openssl pkey -pubin -outform DER",
                                               "bash", certificate.string()}})));
}

SignatureScheme scheme_of(const PublicKey& key) {
  return {.digest = digest_for(key.algorithm), .padding = is_rsa(key.algorithm) ? Padding::rsa_pkcs1 : Padding::none};
}

Bytes digest_for_scheme(SignatureScheme scheme) { return Bytes(digest_size(scheme.digest), std::byte{0x42}); }

Result<Bytes> sign_as_it_likes(PrivateKey& key) {
  const SignatureScheme scheme = scheme_of(key.public_key());
  return key.sign(digest_for_scheme(scheme), scheme);
}

void expect_signs_as_it_likes(PrivateKey& key) {
  const SignatureScheme scheme = scheme_of(key.public_key());
  const auto signature = sign_as_it_likes(key);
  ASSERT_TRUE(signature) << signature.error().sentence();
  EXPECT_TRUE(verify(key.public_key(), digest_for_scheme(scheme), scheme, *signature));
}

/// A device of a factory with its own habits.
class FactoryDevice {
 public:
  explicit FactoryDevice(const FactoryHabits& habits) : factory_(manufacture(swtpm_, directory_.path(), habits)) {}

  [[nodiscard]] const ManufacturedTpm& factory() const { return factory_; }
  [[nodiscard]] const std::filesystem::path& directory() const { return directory_.path(); }
  TpmTap& tap() { return tap_; }
  std::string tpm2(const std::string& shell_command) const { return run_tpm2(swtpm_.tcti(), shell_command); }
  [[nodiscard]] std::size_t transient() const { return count_handles(swtpm_.tcti(), "transient"); }
  [[nodiscard]] std::size_t sessions() const { return count_handles(swtpm_.tcti(), "loaded-session"); }
  [[nodiscard]] TpmSpec spec() const { return {.tcti = tap_.tcti()}; }
  /// A file with a password in it that only its owner may read.
  SecretFile password_file(const std::string& password) const {
    const auto path = directory_.path() / "password";
    std::ofstream(path) << password << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return {.path = path};
  }

 private:
  TemporaryDirectory directory_;
  Swtpm swtpm_;
  ManufacturedTpm factory_;
  TpmTap tap_{swtpm_};
};

FactoryHabits named(const std::string& key_template, const std::string& unique, bool persistent = false) {
  return {.key_template = key_template, .unique = unique, .persistent = persistent};
}

class AnIdevidOfTemplate : public testing::TestWithParam<FactoryHabits> {};

TEST_P(AnIdevidOfTemplate, IsDerivedAgainFromItAndSigns) {
  FactoryDevice device(GetParam());
  TpmToken token(device.spec());
  {
    const auto key = token.open_key_at(device.factory().key_location);
    ASSERT_TRUE(key) << key.error().sentence();
    EXPECT_EQ((*key)->public_key().spki, key_certified_in(device.factory().certificate));
    EXPECT_TRUE((*key)->pem().empty());
    expect_signs_as_it_likes(**key);
    EXPECT_EQ(device.tap().seen().count(TpmCommand::create_primary), 2U) << "one of them is the storage root key";
  }
  EXPECT_EQ(device.transient(), 0U);
}

TEST_P(AnIdevidOfTemplate, IsDerivedByNoOtherTemplateForKeysOfItsKind) {
  FactoryDevice device(GetParam());
  TpmToken token(device.spec());
  const Bytes certified = key_certified_in(device.factory().certificate);
  std::vector<std::string> matching;
  for (const KeyAlgorithm algorithm : all_key_algorithms()) {
    for (const std::string& location : token.derivable_keys(algorithm)) {
      if (location.substr(0, 12) != device.factory().key_location.substr(0, 12)) continue;
      const auto key = token.open_key_at(location);
      ASSERT_TRUE(key) << key.error().sentence();
      EXPECT_EQ((*key)->public_key().algorithm, algorithm);
      if ((*key)->public_key().spki == certified) matching.push_back(location);
    }
  }
  EXPECT_THAT(matching, testing::ElementsAre(device.factory().key_location));
}

INSTANTIATE_TEST_SUITE_P(Tcg, AnIdevidOfTemplate,
                         testing::Values(named("H-1", "plain"), named("H-2", "both"), named("H-2", "x"),
                                         named("H-2", "split"), named("H-3", "both"), named("H-3", "x"),
                                         named("H-3", "split"), named("H-4", "both"), named("H-4", "x"),
                                         named("H-4", "split")),
                         [](const auto& param) {
                           std::string name = param.param.key_template + "_" + param.param.unique;
                           std::erase(name, '-');
                           return name;
                         });

class ADerivedIdevid : public testing::Test {
 protected:
  static Bytes a_digest() { return Bytes(32, std::byte{0x42}); }
  std::unique_ptr<PrivateKey> idevid() {
    auto key = token_->open_key_at(device_.factory().key_location);
    if (key) return std::move(*key);
    ADD_FAILURE() << key.error().sentence();
    return nullptr;
  }

  FactoryDevice device_{named("H-2", "x")};
  std::unique_ptr<TpmToken> token_ = std::make_unique<TpmToken>(device_.spec());
};

TEST_F(ADerivedIdevid, SharesTheOnePlaceForALoadedKey) {
  {
    const auto identity = idevid();
    ASSERT_TRUE(identity);
    expect_signs_as_it_likes(*identity);
    const auto key = token_->create_key({});
    ASSERT_TRUE(key) << key.error().sentence();
    expect_signs_as_it_likes(**key);      // CSR
    expect_signs_as_it_likes(*identity);  // TLS: derived again
    const auto stored = token_->open_key((*key)->pem());
    ASSERT_TRUE(stored) << stored.error().sentence();
    expect_signs_as_it_likes(**stored);
  }
  const auto seen = device_.tap().seen();
  EXPECT_EQ(seen.most_before_create_or_load, 0U);
  EXPECT_LE(seen.most_transient, 1U);
  EXPECT_EQ(device_.transient(), 0U);
}

TEST_F(ADerivedIdevid, TakesTheSecondSlotBesideAStorageRootKeyThatIsNotPersistent) {
  TpmSpec spec = device_.spec();
  spec.storage_root = std::nullopt;
  token_ = std::make_unique<TpmToken>(spec);
  {
    const auto identity = idevid();
    ASSERT_TRUE(identity);
    expect_signs_as_it_likes(*identity);
    const auto key = token_->create_key({});
    ASSERT_TRUE(key) << key.error().sentence();
    expect_signs_as_it_likes(**key);
    expect_signs_as_it_likes(*identity);
  }
  const auto seen = device_.tap().seen();
  EXPECT_LE(seen.most_before_create_or_load, 1U);
  EXPECT_LE(seen.most_transient, 2U);
  EXPECT_EQ(device_.transient(), 0U);
}

TEST_F(ADerivedIdevid, IsKnownToBeTheSameKeyWhenItIsOpenTwice) {
  auto one = idevid();
  const auto other = idevid();
  ASSERT_TRUE(one && other);
  device_.tap().reset();
  expect_signs_as_it_likes(*one);
  one.reset();
  expect_signs_as_it_likes(*other);
  EXPECT_EQ(device_.tap().seen().count(TpmCommand::create_primary), 0U);
  EXPECT_EQ(device_.tap().transient_objects(), 1U);
}

TEST_F(ADerivedIdevid, IsDerivedAgainWhenSomebodyFlushedIt) {
  const auto identity = idevid();
  ASSERT_TRUE(identity);
  device_.tpm2("tpm2_flushcontext -t");
  expect_signs_as_it_likes(*identity);
}

TEST_F(ADerivedIdevid, SignsNoMoreWhenTheEndorsementSeedIsAnother) {
  const auto identity = idevid();
  ASSERT_TRUE(identity);
  device_.tpm2("tpm2_changeeps -Q");
  const auto signature = sign_as_it_likes(*identity);
  EXPECT_THAT(signature, fails_with(Errc::token_wrong_key));
  EXPECT_THAT(signature.error().what, HasSubstr("another key"));
}

TEST_F(ADerivedIdevid, NeedsThePasswordOfTheEndorsementHierarchyIfThereIsOne) {
  device_.tpm2("tpm2_changeauth -Q -c e endorsementsecret");
  const auto refused = token_->open_key_at(device_.factory().key_location);
  EXPECT_THAT(refused, fails_with(Errc::token_auth_failed));
  EXPECT_THAT(refused.error().hint, HasSubstr("endorsement_auth"));

  TpmSpec spec = device_.spec();
  spec.endorsement_auth = device_.password_file("endorsementsecret");
  token_ = std::make_unique<TpmToken>(spec);
  auto identity = idevid();
  ASSERT_TRUE(identity);
  expect_signs_as_it_likes(*identity);

  device_.password_file("wrong");
  identity.reset();
  device_.tap().reset();
  const auto wrong = token_->open_key_at(device_.factory().key_location);
  EXPECT_THAT(wrong, fails_with(Errc::token_auth_failed));
  EXPECT_THAT(wrong.error().what, HasSubstr("is not that of the endorsement hierarchy"));
  EXPECT_EQ(device_.tap().seen().count(TpmCommand::create_primary), 1U) << "a wrong password is tried once";
  std::filesystem::remove(device_.directory() / "password");
  EXPECT_THAT(token_->open_key_at(device_.factory().key_location), fails_with(Errc::config_missing));
}

TEST_F(ADerivedIdevid, IsNotTriedOnATpmWithoutItsCurve) {
  device_.tap().answer(TpmCommand::create_primary, 0x2e6);  // TPM_RC_CURVE, for the storage root key, then for P-256
  device_.tap().answer(TpmCommand::create_primary, 0x2e6);
  EXPECT_FALSE(token_->open_key_at("template:H-4/both"));
  device_.tap().heal();
  EXPECT_EQ(device_.transient(), 0U);
}

class AnIdevidThatNeedsItsPolicy : public testing::TestWithParam<FactoryHabits> {
 protected:
  static FactoryHabits policy_only(FactoryHabits habits) {
    habits.user_with_auth = false;
    return habits;
  }

  FactoryDevice device_{policy_only(GetParam())};
  TpmToken token_{device_.spec()};
};

TEST_P(AnIdevidThatNeedsItsPolicy, SignsByTheBranchThatWantsTheEndorsementHierarchy) {
  const auto key = token_.open_key_at(device_.factory().key_location);
  ASSERT_TRUE(key) << key.error().sentence();
  EXPECT_EQ((*key)->public_key().spki, key_certified_in(device_.factory().certificate));
  expect_signs_as_it_likes(**key);
  expect_signs_as_it_likes(**key);
  EXPECT_EQ(device_.sessions(), 1U) << "the policy sessions are gone";
}

TEST_P(AnIdevidThatNeedsItsPolicy, IsListedAsAKeyThatSigns) {
  const auto keys = token_.list_keys();
  ASSERT_TRUE(keys) << keys.error().sentence();
  ASSERT_EQ(keys->size(), 1U);
  EXPECT_TRUE(keys->front().public_key);
}

INSTANTIATE_TEST_SUITE_P(Tcg, AnIdevidThatNeedsItsPolicy,
                         testing::Values(named("H-1", "plain", true), named("H-2", "both", true),
                                         named("H-3", "both", true), named("H-4", "both", true)),
                         [](const auto& param) {
                           std::string name = param.param.key_template;
                           std::erase(name, '-');
                           return name;
                         });

class APolicyOnlyIdevid : public testing::Test {
 protected:
  FactoryDevice device_{FactoryHabits{.user_with_auth = false}};
};

TEST_F(APolicyOnlyIdevid, NeedsThePasswordOfTheEndorsementHierarchyIfThereIsOne) {
  device_.tpm2("tpm2_changeauth -Q -c e endorsementsecret");
  {
    TpmToken token(device_.spec());
    const auto key = token.open_key_at(device_.factory().key_location);
    ASSERT_TRUE(key) << key.error().sentence();
    const auto signature = sign_as_it_likes(**key);
    EXPECT_THAT(signature, fails_with(Errc::token_auth_failed));
    EXPECT_THAT(signature.error().what, HasSubstr("endorsement hierarchy"));
    EXPECT_THAT(signature.error().hint, HasSubstr("endorsement_auth"));
    EXPECT_EQ(device_.sessions(), 1U) << "the policy session that came to nothing is flushed";
  }
  TpmSpec spec = device_.spec();
  spec.endorsement_auth = device_.password_file("endorsementsecret");
  device_.tap().reset();
  TpmToken token(spec);
  const auto key = token.open_key_at(device_.factory().key_location);
  ASSERT_TRUE(key) << key.error().sentence();
  expect_signs_as_it_likes(**key);
  for (const auto& frame : device_.tap().seen().frames) {
    EXPECT_EQ(as_text(std::as_bytes(std::span(frame))).find("endorsementsecret"), std::string_view::npos);
  }
}

TEST_F(APolicyOnlyIdevid, SignsAgainAfterSomebodyFlushedTheSessions) {
  TpmToken token(device_.spec());
  const auto key = token.open_key_at(device_.factory().key_location);
  ASSERT_TRUE(key) << key.error().sentence();
  expect_signs_as_it_likes(**key);
  device_.tpm2("tpm2_flushcontext -l -s");
  expect_signs_as_it_likes(**key);
}

TEST_F(APolicyOnlyIdevid, CostsThreeCommandsMoreForEachSignature) {
  TpmToken token(device_.spec());
  ASSERT_TRUE(token.create_key({})) << "as each enrollment does: there is a storage root key then";
  const auto key = token.open_key_at(device_.factory().key_location);
  ASSERT_TRUE(key) << key.error().sentence();
  expect_signs_as_it_likes(**key);
  device_.tap().reset();
  expect_signs_as_it_likes(**key);
  const auto seen = device_.tap().seen();
  EXPECT_EQ(seen.commands.size() - seen.retried, 4U) << seen.summary();  // session, secret, or, sign
}

TEST_F(APolicyOnlyIdevid, LeavesNoSessionBehindWhenTheTpmRefuses) {
  {
    TpmToken token(device_.spec());
    const auto key = token.open_key_at(device_.factory().key_location);
    ASSERT_TRUE(key) << key.error().sentence();
    device_.tap().answer(TpmCommand::sign, 0x921);  // TPM_RC_LOCKOUT
    EXPECT_THAT(sign_as_it_likes(**key), fails_with(Errc::token_locked_out));
    expect_signs_as_it_likes(**key);
  }
  EXPECT_EQ(device_.sessions(), 0U);
}

}  // namespace
}  // namespace devid::test
