#include "agent/identity/specifiers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>

#include "tests/support/certificate_of.h"
#include "tests/support/command.h"
#include "tests/support/test_pki.h"

namespace devid::identity {
namespace {

using testing::HasSubstr;

const DeviceFacts facts{{'H', "gw-17.plant.example"}, {'m', "0123456789abcdef0123456789abcdef"}, {'l', "gw-17"}};

std::string expanded(std::string_view text) {
  const auto result = expand(text, facts);
  return result ? *result : result.error().what;
}

TEST(ASpecifier, StandsForAFactOfTheDevice) {
  EXPECT_EQ(expanded("%H"), "gw-17.plant.example");
  EXPECT_EQ(expanded("urn:dev:%m/%l"), "urn:dev:0123456789abcdef0123456789abcdef/gw-17");
  EXPECT_EQ(expanded("100 %%"), "100 %");
  EXPECT_EQ(expanded("%%H"), "%H");
  EXPECT_EQ(expanded(""), "");
}

TEST(ASpecifier, ThatIsNotKnownIsAnError) {
  EXPECT_EQ(expanded("%2F"), "'%2' is no specifier");
  EXPECT_EQ(expanded("%"), "a percent sign stands alone");
  EXPECT_EQ(expanded("a%"), "a percent sign stands alone");
  EXPECT_EQ(expanded("%o"), "this host does not know what %o stands for");
  EXPECT_EQ(expanded("%{idevid.nothing}"), "'nothing' is no attribute of a subject");
  EXPECT_EQ(expanded("%{idevid.}"), "'%{' is no specifier");
  EXPECT_EQ(expanded("%{idevid.CN"), "'%{' is no specifier");
  EXPECT_EQ(expanded("%{host.CN}"), "'%{' is no specifier");
  EXPECT_EQ(expand("%\x1b", facts).error().what, "'%\\x1b' is no specifier");
}

TEST(ASpecifier, OfTheIdevidWaitsForTheIdevid) {
  EXPECT_EQ(expanded("%l-%{idevid.serialNumber}"), "gw-17-\x1f{idevid.serialNumber}");
  EXPECT_TRUE(refers_to_idevid(expanded("x%{idevid.serialNumber}")));
  EXPECT_FALSE(refers_to_idevid(expanded("x%%{idevid.serialNumber}")));
}

TEST(TheSubjectOfTheIdevid, FillsItsPlacesIn) {
  test::TestPki factory;
  const auto idevid =
      test::certificate_of(factory.issue({.subject = "/O=Example%/CN=device/serialNumber=SN-17"}).certificate_pem);
  EXPECT_EQ(resolve_idevid(expanded("gw-%{idevid.serialNumber}-%{idevid.CN}"), idevid), "gw-SN-17-device");
  EXPECT_EQ(resolve_idevid(expanded("%{idevid.O}%%"), idevid), "Example%%") << "what it says is not looked at again";
  const auto missing = resolve_idevid(expanded("%{idevid.OU}"), idevid);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().what, "the subject of the IDevID has no OU");
  EXPECT_THAT(missing.error().hint, HasSubstr("SN-17"));
}

TEST(ThisHost, HasANameAndAKernel) {
  const DeviceFacts host = read_device_facts();
  std::array<char, 256> name{};
  ASSERT_EQ(::gethostname(name.data(), name.size() - 1), 0);
  EXPECT_EQ(host.at('H'), name.data());
  EXPECT_NE(test::output_of({.argv = {"cat", "/etc/os-release"}}).find("\nID=" + host.at('o') + "\n"),
            std::string::npos);
  EXPECT_FALSE(host.at('w').empty());
  EXPECT_EQ(host.at('b').size(), 36U);
  EXPECT_EQ(host.at('m').size(), 32U);
}

}  // namespace
}  // namespace devid::identity
