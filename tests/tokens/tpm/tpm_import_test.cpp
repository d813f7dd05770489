// Keys that were made elsewhere, on their way into a TPM and afterwards.

#include <algorithm>
#include <array>
#include <iostream>

#include "base/file.h"
#include "tests/support/copies_in_memory.h"
#include "tests/tokens/outside_keys.h"
#include "tests/tokens/tpm/device_tpm.h"
#include "tokens/outside_key.h"
#include "tokens/tpm/tss2_pem.h"

namespace devid::test {
namespace {

using testing::HasSubstr;

constexpr std::uint32_t tpm_failure = 0x101;

class AnImportedKey : public DeviceTpm {
 protected:
  [[nodiscard]] std::string path(const std::string& name) const { return (directory_.path() / name).string(); }
  [[nodiscard]] TpmSpec spec() const {
    return {.tcti = tap_.tcti(), .key_auth = SecretFile{.path = directory_.path() / "key-auth"}};
  }

  static std::unique_ptr<PrivateKey> imported(Token& token, const std::string& pkcs8,
                                              KeyAlgorithm algorithm = KeyAlgorithm::ec_p256,
                                              const KeyAuthorization& authorization = NoAuthorization{}) {
    auto key = token.import_key({.algorithm = algorithm, .label = {}, .authorization = authorization}, secret(pkcs8));
    if (key) return std::move(*key);
    ADD_FAILURE() << key.error().sentence();
    return nullptr;
  }
  static void expect_signs_as(PrivateKey& key) {
    const SignatureScheme scheme{.digest = Digest::sha256,
                                 .padding = is_rsa(key.public_key().algorithm) ? Padding::rsa_pss : Padding::none};
    const auto signature = key.sign(a_digest(), scheme);
    ASSERT_TRUE(signature) << signature.error().sentence();
    EXPECT_TRUE(verify(key.public_key(), a_digest(), scheme, *signature));
  }
  /// Whether octets crossed the bus, in a command or an answer.
  [[nodiscard]] bool was_seen(const std::string& octets) const {
    const auto seen = tap_.seen();
    const auto has = [&](const std::vector<std::uint8_t>& frame) {
      return std::string(frame.begin(), frame.end()).find(octets) != std::string::npos;
    };
    return std::ranges::any_of(seen.frames, has) || std::ranges::any_of(seen.answers, has);
  }
  /// Leaves the files of a key to other tools, and the TPM, too.
  void import_for_tools(const KeyAuthorization& authorization) {
    {
      const auto key = imported(*token_, made_outside(KeyAlgorithm::ec_p256), KeyAlgorithm::ec_p256, authorization);
      ASSERT_TRUE(key);
      ASSERT_TRUE(write_file_atomically(path("key.pem"), key->pem(), 0600));
      ASSERT_TRUE(write_file_atomically(path("message"), "signed by a tool that is not ours", 0644));
      ASSERT_TRUE(write_file_atomically(path("public.der"), as_text(key->public_key().spki), 0644));
    }
    token_ = new_token();
  }
  [[nodiscard]] std::string verified_by_openssl() const {
    return tpm2("openssl dgst -sha256 -verify " + path("public.der") + " -keyform DER -signature " + path("signature") +
                " " + path("message"));
  }
  /// What a shell command says that must not succeed.
  [[nodiscard]] std::string refusal(const std::string& shell_command) const {
    try {
      return "it succeeded" + tpm2(shell_command);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
  }
  /// A storage root key of another kind than devid makes.
  void provision_storage_root(const std::string& handle, const std::string& kind) const {
    tpm2("tpm2_createprimary -Q -C o " + kind +
         " -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt' -c " + path("root.ctx") +
         " && tpm2_flushcontext -t && tpm2_evictcontrol -Q -C o -c " + path("root.ctx") + " " + handle +
         " && tpm2_flushcontext -t");
  }
};

TEST_F(AnImportedKey, IsNeverSeenOnTheBus) {
  const std::string ec = made_outside(KeyAlgorithm::ec_p256);
  const std::string rsa = made_outside(KeyAlgorithm::rsa_2048);
  for (const TpmSpec& parent : {spec(), TpmSpec{.tcti = tap_.tcti(), .storage_root = std::nullopt}}) {
    TpmToken token(parent);
    tap_.reset();
    expect_signs_as(*imported(token, ec));
    expect_signs_as(*imported(token, rsa, KeyAlgorithm::rsa_2048));
    ASSERT_TRUE(was_seen(number_of(ec, "pub").substr(1, 32))) << "the search finds what is there";
    EXPECT_FALSE(was_seen(number_of(ec, "priv")));
    for (const char* name : {"prime1", "prime2", "privateExponent"}) {
      std::string number = number_of(rsa, name);
      number.erase(0, number.find_first_not_of('\0'));
      ASSERT_GE(number.size(), 120U);
      EXPECT_FALSE(was_seen(number.substr(0, 64))) << name;
    }
  }
}

TEST_F(AnImportedKey, LeavesNoCopyInMemory) {
  for (const KeyAlgorithm algorithm : {KeyAlgorithm::ec_p256, KeyAlgorithm::rsa_2048}) {
    shell("openssl genpkey -quiet " + genpkey_options(algorithm) +
          " | openssl pkcs8 -topk8 -nocrypt -outform DER -out " + path("key.der"));
    const Secret pkcs8 = read_without_traces(path("key.der"));
    std::string trace;
    {
      const auto given = read_outside_key(algorithm, pkcs8);
      ASSERT_TRUE(given) << given.error().sentence();
      const auto* ec = std::get_if<EcNumbers>(&given->numbers);
      trace = trace_of(ec != nullptr ? ec->scalar.reveal() : std::get<RsaNumbers>(given->numbers).prime_1.reveal());
    }
    const auto key = token_->import_key({.algorithm = algorithm}, pkcs8);
    ASSERT_TRUE(key) << key.error().sentence();
    expect_signs_as(**key);
    EXPECT_EQ(copies_in_memory(trace), 1U) << "that of the caller";
  }
}

TEST_F(AnImportedKey, CannotLeaveTheTpmAgain) {
  for (const KeyAuthorization& authorization :
       {KeyAuthorization(NoAuthorization{}), KeyAuthorization(PcrPolicy{.registers = {16}})}) {
    ASSERT_NO_FATAL_FAILURE(import_for_tools(authorization));
    const auto blob = tpm::read_tss2_pem(read_file(path("key.pem"), 16384).value());
    ASSERT_TRUE(blob && write_file_atomically(path("key.pub"), as_text(blob->public_area), 0600) &&
                write_file_atomically(path("key.priv"), as_text(blob->private_area), 0600));
    tpm2("tpm2_load -Q -C 0x81000001 -u " + path("key.pub") + " -r " + path("key.priv") + " -c " + path("key.ctx") +
         " && tpm2_flushcontext -t");
    const std::string duplicate =
        "tpm2_duplicate -C null -c " + path("key.ctx") + " -G null -r " + path("out.priv") + " -s " + path("out.seed");
    EXPECT_THAT(refusal(duplicate), HasSubstr("authorization handle is not correct for command"))
        << "an auth value is not enough";
    tpm2("tpm2_startauthsession -Q --policy-session -S " + path("s.ctx"));
    const std::string policy = "tpm2_policypcr -Q -S " + path("s.ctx") + " -l sha256:16 && ";
    const std::string command = "tpm2_policycommandcode -Q -S " + path("s.ctx") + " TPM2_CC_Duplicate && ";
    const bool bound = blob->pcr_policy.has_value();
    EXPECT_THAT(refusal((bound ? policy : "") + command + duplicate + " -p session:" + path("s.ctx")),
                HasSubstr("a policy check failed"));
    tpm2("tpm2_flushcontext -l; tpm2_flushcontext -t");
  }
}

TEST_F(AnImportedKey, SignsForToolsThatAreNotDevids) {
  ASSERT_NO_FATAL_FAILURE(import_for_tools(NoAuthorization{}));
  tpm2(
      "openssl pkeyutl -provider tpm2 -provider default -propquery '?provider=tpm2' -sign -rawin -digest sha256 "
      "-inkey " +
      path("key.pem") + " -in " + path("message") + " -out " + path("signature"));
  EXPECT_EQ(verified_by_openssl(), "Verified OK\n");
  tpm2("tpm2_load -Q -r " + path("key.pem") + " -c " + path("key.ctx") +
       " && tpm2_flushcontext -t && tpm2_sign -Q -c " + path("key.ctx") + " -g sha256 -f plain -o " +
       path("signature") + " " + path("message"));
  EXPECT_EQ(verified_by_openssl(), "Verified OK\n");
}

TEST_F(AnImportedKey, MayHaveAnAuthValue) {
  const std::string value = "0123456789abcdef0123456789abcdef";
  ASSERT_TRUE(write_file_atomically(path("key-auth"), value, 0600));
  std::string pem;
  {
    TpmToken token(spec());
    const auto key = imported(token, made_outside(KeyAlgorithm::ec_p256), KeyAlgorithm::ec_p256, AuthValue{});
    ASSERT_TRUE(key);
    expect_signs(*key);
    pem = key->pem();
  }
  EXPECT_FALSE(was_seen(value.substr(0, 16)));
  TpmToken token(spec());
  const auto key = token.open_key(pem);
  ASSERT_TRUE(key) << key.error().sentence();
  expect_signs(**key);
  ASSERT_TRUE(write_file_atomically(path("key-auth"), std::string(32, 'f'), 0600));
  EXPECT_THAT(sign(**key), fails_with(Errc::token_auth_failed));
}

TEST_F(AnImportedKey, MayBeBoundToPcrs) {
  const auto key =
      imported(*token_, made_outside(KeyAlgorithm::ec_p256), KeyAlgorithm::ec_p256, PcrPolicy{.registers = {16}});
  ASSERT_TRUE(key);
  expect_signs(*key);
  tpm2("tpm2_pcrextend 16:sha256=" + std::string(64, '1'));
  EXPECT_FALSE(sign(*key));
}

TEST_F(AnImportedKey, IsEncryptedToAStorageRootKeyOfEveryKind) {
  const std::string ec = made_outside(KeyAlgorithm::ec_p384);
  const std::string rsa = made_outside(KeyAlgorithm::rsa_2048);
  struct Root {
    std::uint32_t handle;
    std::string text;
    std::string kind;
  };
  for (const auto& [handle, text, kind] : {Root{0x81000002, "0x81000002", "-G rsa2048:null:aes128cfb"},
                                           Root{0x81000003, "0x81000003", "-G ecc384:null:aes256cfb -g sha384"},
                                           Root{0x81000004, "0x81000004", "-G rsa2048:null:aes256cfb -g sha512"}}) {
    provision_storage_root(text, kind);
    TpmToken token({.tcti = tap_.tcti(), .storage_root = handle});
    const auto one = imported(token, ec, KeyAlgorithm::ec_p384);
    ASSERT_TRUE(one) << kind;
    expect_signs_as(*one);
    const auto other = imported(token, rsa, KeyAlgorithm::rsa_2048);
    ASSERT_TRUE(other) << kind;
    expect_signs_as(*other);
  }
}

TEST_F(AnImportedKey, CostsThreeCommandsWithItsFirstSignature) {
  ASSERT_TRUE(created(*token_));  // the storage root key is there, and the session
  const std::string pkcs8 = made_outside(KeyAlgorithm::ec_p256);
  tap_.reset();
  const auto key = imported(*token_, pkcs8);
  ASSERT_TRUE(key);
  const auto seen = tap_.seen();
  std::cout << "import: " << seen.summary() << "\n";
  EXPECT_EQ(seen.commands.size() - seen.retried, 3U) << seen.summary();
  EXPECT_EQ(seen.count(TpmCommand::import_key), 1U);
  EXPECT_EQ(seen.most_transient, 1U);
  EXPECT_EQ(seen.most_before_create_or_load, 0U);
  expect_signs(*key);
  EXPECT_EQ(tap_.seen().count(TpmCommand::load), 1U) << "it stays loaded for its first use";
}

TEST_F(AnImportedKey, LeavesNothingBehindWhicheverCommandFails) {
  ASSERT_TRUE(created(*token_));
  const std::string pkcs8 = made_outside(KeyAlgorithm::ec_p256);
  const KeySpec wanted{.algorithm = KeyAlgorithm::ec_p256};
  for (const bool cut : {false, true}) {
    bool failed = true;
    for (unsigned nth = 1; failed && nth < 20; ++nth) {
      token_ = new_token();
      if (cut)
        tap_.cut_at(nth, TpmTap::Cut::after_the_tpm_did_it);
      else
        tap_.answer_nth(nth, tpm_failure);
      failed = !token_->import_key(wanted, secret(pkcs8));
      tap_.heal();
      EXPECT_TRUE(token_->import_key(wanted, secret(pkcs8))) << nth;
      token_.reset();
      if (!cut) {
        EXPECT_EQ(transient() + sessions(), 0U) << nth;
      }
    }
    EXPECT_EQ(run_tpm2(swtpm_.tcti(), "tpm2_getcap handles-persistent | wc -l"), "2\n");
  }
}

}  // namespace
}  // namespace devid::test
