#include "tokens/tpm/idevid_policy.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <span>

#include "tokens/tpm/policy_digest.h"

namespace devid::tpm {
namespace {

std::string hex(BytesView bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return text;
}

// The TCG's values ("TPM 2.0 Keys for Device Identity and Attestation", 7.3.6), as other implementations have them.
TEST(TheIdevidPolicy, IsTheOneThatTheTcgPublished) {
  EXPECT_EQ(hex(idevid_policy(Digest::sha256)), "ad6b3a2284fd698a0710bf5cc1b9bdf15e2532e3f601fa4b93a6a8fa8de579ea");
  EXPECT_EQ(hex(idevid_policy(Digest::sha384)),
            "4db1aa836d0b5615df6ee53a40ef70c61c217f4303d44695925972bc927006cfa5cbdf6dc18c4dbe329b2f1542c3dd33");
  EXPECT_EQ(
      hex(idevid_policy(Digest::sha512)),
      "7dd7500fd6c1b94f97a6af910da147301ef28f662fee06f225a4ccadda3b4e6b38e66b2f3ad5dee1a0503cd2daedb1e68cfe4f84b03a8cd"
      "22bb6a976f071a72f");
}

TEST(TheIdevidPolicy, LetsWhoeverKnowsTheEndorsementPasswordSign) {
  const auto branches = idevid_policy_branches(Digest::sha256);
  ASSERT_EQ(branches.size(), 4U);
  // TPM2_PolicySecret(TPM_RH_ENDORSEMENT), as in the authPolicy of every endorsement key with SHA-256.
  EXPECT_EQ(hex(branches[0]), "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa");
}

TPMT_PUBLIC key_with_policy(TPMI_ALG_HASH hash, BytesView policy) {
  TPMT_PUBLIC area{};
  area.nameAlg = hash;
  area.authPolicy.size = static_cast<UINT16>(policy.size());
  std::ranges::copy(policy, std::as_writable_bytes(std::span(area.authPolicy.buffer)).begin());
  return area;
}

TEST(AKeyWithAPolicy, IsUsedByItsEndorsementBranchIfThatIsKnown) {
  const auto idevid = endorsement_policy_of(key_with_policy(TPM2_ALG_SHA384, idevid_policy(Digest::sha384)));
  ASSERT_TRUE(idevid);
  EXPECT_EQ(idevid->hash, Digest::sha384);
  EXPECT_EQ(idevid->branches, idevid_policy_branches(Digest::sha384));

  const Bytes secret = PolicyDigest(Digest::sha256).secret(TPM2_RH_ENDORSEMENT).value();
  const auto plain = endorsement_policy_of(key_with_policy(TPM2_ALG_SHA256, secret));
  ASSERT_TRUE(plain);
  EXPECT_TRUE(plain->branches.empty());
}

TEST(AKeyWithAPolicy, IsOfNoUseIfThatIsUnknown) {
  EXPECT_FALSE(endorsement_policy_of(key_with_policy(TPM2_ALG_SHA256, {})));
  EXPECT_FALSE(endorsement_policy_of(key_with_policy(TPM2_ALG_SHA256, Bytes(32))));
  EXPECT_FALSE(endorsement_policy_of(key_with_policy(TPM2_ALG_SHA256, idevid_policy(Digest::sha384))));
  EXPECT_FALSE(endorsement_policy_of(key_with_policy(TPM2_ALG_SHA1, idevid_policy(Digest::sha256))));
  const Bytes owner = PolicyDigest(Digest::sha256).secret(TPM2_RH_OWNER).value();
  EXPECT_FALSE(endorsement_policy_of(key_with_policy(TPM2_ALG_SHA256, owner)));
}

}  // namespace
}  // namespace devid::tpm
