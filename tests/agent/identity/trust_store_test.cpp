#include "agent/identity/trust_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/support/changing_ca.h"
#include "tests/support/temporary_directory.h"

namespace devid::test {
namespace {

using namespace std::chrono_literals;
using identity::TrustStore;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ATrustStore : public testing::Test, protected ChangingCa {
 protected:
  [[nodiscard]] std::filesystem::path file() const { return identity::trust_file(directory.path()); }
  [[nodiscard]] TrustStore read() const { return TrustStore(file()); }
  void write(const std::string& text) const { std::ofstream(file()) << text; }
  [[nodiscard]] pki::Rollover rollover() {
    return pki::follow_rollover({ca("old")}, {ca("new"), link("new", "old")}, now);
  }

  const std::string server = "https://est.example:443/.well-known/est";
  TemporaryDirectory directory;
  Time now = SystemClock().now();
};

TEST_F(ATrustStore, WithoutAFileIsEmptyAndWritesNone) {
  const TrustStore store = read();
  EXPECT_FALSE(store.trouble());
  EXPECT_FALSE(store.looked_at());
  EXPECT_EQ(store.record(), identity::TrustRecord{});
  EXPECT_FALSE(store.anchors({}, server, now));
  EXPECT_FALSE(std::filesystem::exists(file()));
}

TEST_F(ATrustStore, KeepsWhatWasLearnedForTheNextProcess) {
  ASSERT_TRUE(read().learn(rollover(), server, now));
  const TrustStore store = read();
  EXPECT_EQ(store.looked_at(), now);
  const auto anchors = store.anchors({ca("old")}, server, now);
  ASSERT_TRUE(anchors);
  EXPECT_THAT(*anchors, ElementsAre(ca("old"), ca("new")));
  struct stat info{};
  ASSERT_EQ(::stat(file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0644U);
}

TEST_F(ATrustStore, KeepsWhatWasOfferedUntilAnOperatorAcceptsIt) {
  ASSERT_TRUE(read().saw(server, {ca("old"), ca("new")}, now));
  EXPECT_EQ(read().offered(server).size(), 2U);
  EXPECT_FALSE(read().anchors({}, server, now));
  ASSERT_TRUE(read().accept(ca("old").fingerprint(), server, now));
  EXPECT_EQ(read().offered(server).size(), 1U);
  const auto anchors = read().anchors({}, server, now);
  ASSERT_TRUE(anchors);
  EXPECT_THAT(*anchors, ElementsAre(ca("old")));
  EXPECT_EQ(read().accept(ca("newest").fingerprint(), server, now).error().code, Errc::wrong_state);
}

TEST_F(ATrustStore, OffersNothingMoreOnceItsServerIsTrusted) {
  ASSERT_TRUE(read().saw(server, {ca("old"), ca("new")}, now));
  ASSERT_TRUE(read().learn({}, server, now));
  EXPECT_THAT(read().offered(server), IsEmpty());
  EXPECT_EQ(read().looked_at(), now);
}

TEST_F(ATrustStore, OffersWhatOneServerShowedAlthoughAnotherIsTrusted) {
  ASSERT_TRUE(read().saw(server + "/other", {ca("old")}, now));
  ASSERT_TRUE(read().learn({}, server, now));
  EXPECT_EQ(read().offered(server + "/other").size(), 1U);
}

TEST_F(ATrustStore, KeepsWhatTheProfileNamesOnceItWasMet) {
  ASSERT_TRUE(read().pin(ca("old"), server, now));
  EXPECT_EQ(read().pinned(ca("old").fingerprint(), server), ca("old"));
  EXPECT_FALSE(read().pinned(ca("old").fingerprint(), server + "/other"));
}

TEST_F(ATrustStore, FallsBackToTheProfileWhereItsFileIsDamaged) {
  ASSERT_TRUE(read().learn(rollover(), server, now));
  for (const std::string text : {"", "{\"version\": 1, \"learned\": [", "{\"version\": 7}", "\xff\xfe"}) {
    write(text);
    TrustStore store = read();
    ASSERT_TRUE(store.trouble());
    EXPECT_EQ(store.trouble()->code, Errc::state_corrupt);
    EXPECT_THAT(store.trouble()->what, HasSubstr(file().string()));
    const auto anchors = store.anchors({ca("old")}, server, now);
    ASSERT_TRUE(anchors);
    EXPECT_THAT(*anchors, ElementsAre(ca("old")));
    EXPECT_TRUE(store.learn(rollover(), server, now)) << "and it heals";
    EXPECT_FALSE(store.trouble());
    EXPECT_EQ(read().record(), store.record());
  }
}

TEST_F(ATrustStore, DoesNotReadAFileOfAnySizeOrKind) {
  write(std::string((2UL << 20U) + 1, ' '));
  EXPECT_EQ(read().trouble()->code, Errc::state_corrupt);
  std::filesystem::remove(file());
  std::filesystem::create_symlink("nowhere", file());
  EXPECT_EQ(read().trouble()->code, Errc::state_corrupt);
  std::filesystem::remove(file());
  std::filesystem::create_directory(file());
  EXPECT_EQ(read().trouble()->code, Errc::state_corrupt);
}

TEST_F(ATrustStore, DoesNotReplaceAFileThatItCannotRead) {
  // A loop of links is no damage that devid could mend, and root can read everything else.
  std::filesystem::create_symlink(file().filename(), file());
  TrustStore store = read();
  ASSERT_TRUE(store.trouble());
  EXPECT_EQ(store.trouble()->code, Errc::storage_failed);
  EXPECT_EQ(store.saw(server, {ca("old")}, now).error().code, Errc::storage_failed);
  EXPECT_TRUE(std::filesystem::is_symlink(file()));
}

TEST_F(ATrustStore, ChangesNothingThatItCannotWrite) {
  TrustStore store(directory.path() / "not there" / "trust-anchors.json");
  EXPECT_EQ(store.saw(server, {ca("old")}, now).error().code, Errc::storage_failed);
  EXPECT_THAT(store.offered(server), IsEmpty());
  EXPECT_EQ(store.learn(rollover(), server, now).error().code, Errc::storage_failed);
  EXPECT_FALSE(store.looked_at());
}

TEST_F(ATrustStore, HoldsAsMuchAsItMayEverWrite) {
  auto spec = root_spec();
  spec.more_extensions = {"1.2.3.4=DER:04823C00" + std::string(2UL * 0x3c00, '0')};
  std::vector<pki::Certificate> large;
  for (int i = 0; i < 16; ++i) large.push_back(link("new", "old", spec));
  TrustStore store = read();
  pki::Rollover learned;
  learned.added = large;
  learned.links = large;
  ASSERT_TRUE(store.learn(learned, server, now));
  ASSERT_TRUE(store.saw(server, large, now));
  for (const auto& each : large) ASSERT_TRUE(store.accept(each.fingerprint(), server, now));
  ASSERT_TRUE(store.saw(server + "/other", large, now));
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(store.pin(large[0], server + "/" + std::to_string(i), now));
  EXPECT_FALSE(read().trouble());
  EXPECT_EQ(read().record(), store.record());
}

}  // namespace
}  // namespace devid::test
