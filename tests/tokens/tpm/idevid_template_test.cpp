#include "tokens/tpm/idevid_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace devid::tpm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(IdevidTemplates, AreKnownForTheKindsOfKeyThatTheTcgHasThemFor) {
  EXPECT_THAT(idevid_template_locations(KeyAlgorithm::rsa_2048), ElementsAre("template:H-1/plain"));
  EXPECT_THAT(idevid_template_locations(KeyAlgorithm::ec_p256),
              ElementsAre("template:H-2/both", "template:H-2/x", "template:H-2/split"));
  EXPECT_THAT(idevid_template_locations(KeyAlgorithm::ec_p384),
              ElementsAre("template:H-3/both", "template:H-3/x", "template:H-3/split"));
  EXPECT_THAT(idevid_template_locations(KeyAlgorithm::ec_p521),
              ElementsAre("template:H-4/both", "template:H-4/x", "template:H-4/split"));
  EXPECT_THAT(idevid_template_locations(KeyAlgorithm::rsa_3072), IsEmpty());
  EXPECT_THAT(idevid_template_locations(KeyAlgorithm::rsa_4096), IsEmpty());
}

TEST(IdevidTemplates, AreFoundAgainByTheirLocations) {
  for (const KeyAlgorithm algorithm : all_key_algorithms()) {
    for (const std::string& location : idevid_template_locations(algorithm)) {
      EXPECT_TRUE(is_template_location(location));
      const auto form = parse_idevid_template(location);
      ASSERT_TRUE(form) << location;
      EXPECT_EQ(form->publicArea.type, is_rsa(algorithm) ? TPM2_ALG_RSA : TPM2_ALG_ECC);
      EXPECT_EQ(form->publicArea.authPolicy.size, digest_size(digest_for(algorithm)));
    }
  }
}

TEST(IdevidTemplates, AreNothingElse) {
  for (const char* location : {"template:", "template:H-2", "template:H-2/", "template:H-2/plain", "template:H-1/both",
                               "template:H-5/both", "template:h-2/both", "template:H-2/both ", "template:H-2/both/x"}) {
    const auto form = parse_idevid_template(location);
    ASSERT_FALSE(form) << location;
    EXPECT_EQ(form.error().code, Errc::usage) << location;
    EXPECT_THAT(form.error().hint, testing::HasSubstr("/split")) << location;
  }
  EXPECT_FALSE(is_template_location("handle:0x81020000"));
}

}  // namespace
}  // namespace devid::tpm
