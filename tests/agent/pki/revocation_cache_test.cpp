#include "agent/pki/revocation_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <thread>

#include "tests/support/temporary_directory.h"

namespace devid::pki {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::Optional;

const Time now = Time(1'800'000'000s);

Bytes bytes(std::string_view text) { return to_bytes(as_bytes(text)); }

/// The same promises in memory and on disk.
class ARevocationCache : public testing::TestWithParam<bool> {
 protected:
  [[nodiscard]] RevocationCache make(CacheLimits limits = {}) const {
    return GetParam() ? RevocationCache(place.path() / "cache", limits) : RevocationCache(limits);
  }
  static void keep(RevocationCache& cache, std::string_view key, std::string_view content) {
    cache.keep(key, as_bytes(content), now + 1h, now);
  }

  test::TemporaryDirectory place;
};

INSTANTIATE_TEST_SUITE_P(OfEachKind, ARevocationCache, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "OnDisk" : "InMemory"; });

TEST_P(ARevocationCache, GivesBackWhatWasKeptUntilItsEnd) {
  RevocationCache cache = make();
  EXPECT_EQ(cache.find("crl http://a/", now), std::nullopt);
  const std::string content("with\0newlines\nand all\xff", 22);
  cache.keep("crl http://a/", as_bytes(content), now + 1h, now);
  EXPECT_THAT(cache.find("crl http://a/", now), Optional(bytes(content)));
  EXPECT_THAT(cache.find("crl http://a/", now + 59min), Optional(bytes(content)));
  EXPECT_EQ(cache.find("crl http://b/", now), std::nullopt);
  EXPECT_EQ(cache.find("crl http://a/", now + 1h), std::nullopt);
  EXPECT_EQ(cache.find("crl http://a/", now), std::nullopt) << "it went at its end";
}

TEST_P(ARevocationCache, ReplacesAndDrops) {
  RevocationCache cache = make();
  keep(cache, "a", "one");
  keep(cache, "b", "two");
  keep(cache, "a", "three");
  EXPECT_THAT(cache.find("a", now), Optional(bytes("three")));
  cache.drop("a");
  EXPECT_EQ(cache.find("a", now), std::nullopt);
  EXPECT_THAT(cache.find("b", now), Optional(bytes("two")));
}

TEST_P(ARevocationCache, DoesNotBelieveAClockThatHasJumped) {
  RevocationCache cache = make();
  cache.keep("a", as_bytes("one"), now + std::chrono::days(7), now);
  EXPECT_THAT(cache.find("a", now), Optional(bytes("one")));
  EXPECT_EQ(cache.find("a", now - 1s), std::nullopt);
}

TEST_P(ARevocationCache, KeepsNothingThatIsOverOrTooLong) {
  RevocationCache cache = make();
  keep(cache, "a", "one");
  cache.keep("a", as_bytes("two"), now, now);
  EXPECT_EQ(cache.find("a", now - 1min), std::nullopt) << "nor what it would have replaced";
  cache.keep("a", as_bytes("three"), now + std::chrono::days(8), now);
  EXPECT_EQ(cache.find("a", now), std::nullopt);
}

TEST_P(ARevocationCache, LetsTheOldestGoWhenThereAreTooMany) {
  RevocationCache cache = make({.entries = 3});
  for (const char* key : {"a", "b", "c"}) {
    keep(cache, key, key);
    std::this_thread::sleep_for(20ms);  // of file systems with coarse times
  }
  keep(cache, "a", "again");
  std::this_thread::sleep_for(20ms);
  keep(cache, "d", "new");
  EXPECT_EQ(cache.find("b", now), std::nullopt);
  for (const char* key : {"a", "c", "d"}) EXPECT_NE(cache.find(key, now), std::nullopt) << key;
}

TEST_P(ARevocationCache, LetsTheOldestGoWhenTheyAreTooLarge) {
  RevocationCache cache = make({.bytes = 3000});
  for (const char* key : {"a", "b"}) {
    keep(cache, key, std::string(1200, 'x'));
    std::this_thread::sleep_for(20ms);
  }
  keep(cache, "c", std::string(1200, 'x'));
  EXPECT_EQ(cache.find("a", now), std::nullopt);
  EXPECT_NE(cache.find("b", now), std::nullopt);
  EXPECT_NE(cache.find("c", now), std::nullopt);
  keep(cache, "d", std::string(3000, 'x'));
  EXPECT_EQ(cache.find("d", now), std::nullopt) << "it is larger than all that there may be";
  EXPECT_NE(cache.find("b", now), std::nullopt) << "and nothing goes for it";
}

class ARevocationCacheOnDisk : public testing::Test {
 protected:
  [[nodiscard]] fs::path directory() const { return place.path() / "var" / "cache"; }
  [[nodiscard]] RevocationCache make() const { return RevocationCache(directory()); }
  [[nodiscard]] std::vector<fs::path> files() const {
    return {fs::directory_iterator(directory()), fs::directory_iterator()};
  }

  test::TemporaryDirectory place;
};

TEST_F(ARevocationCacheOnDisk, IsThereAfterARestart) {
  make().keep("crl http://a/", as_bytes("one"), now + 1h, now);
  EXPECT_THAT(make().find("crl http://a/", now), Optional(bytes("one")));
  EXPECT_EQ(make().find("crl http://a/", now + 2h), std::nullopt);
  EXPECT_THAT(files(), testing::IsEmpty());
}

TEST_F(ARevocationCacheOnDisk, IsForNobodyElse) {
  make().keep("a", as_bytes("one"), now + 1h, now);
  EXPECT_EQ(fs::status(directory()).permissions(), fs::perms::owner_all);
  ASSERT_EQ(files().size(), 1U);
  EXPECT_EQ(fs::status(files().front()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(files().front().filename(), "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb");
}

TEST_F(ARevocationCacheOnDisk, HasAMissForEveryFileThatIsNotWhatItWrote) {
  make().keep("a", as_bytes("one"), now + 1h, now);
  const fs::path file = files().front();
  std::ifstream in(file, std::ios::binary);
  const std::string good{std::istreambuf_iterator<char>(in), {}};
  ASSERT_EQ(good, "devid revocation 1\n1800003600\na\none");
  for (const std::string& damaged :
       {std::string(), std::string("one"), std::string(100, '\0'), "x" + good, std::string("devid revocation 1\n"),
        std::string("devid revocation 1\n1800003600"), std::string("devid revocation 1\n1800003600\nb\none"),
        std::string("devid revocation 1\n99999999999999999999\na\none"),
        std::string("devid revocation 1\n-1800003600\na\none"), std::string("devid revocation 1\n1800003600x\na\none"),
        std::string("devid revocation 1\n9223372036854775807\na\none"),
        std::string("devid revocation 2\n1800003600\na\none")}) {
    std::ofstream(file, std::ios::binary) << damaged;
    EXPECT_EQ(make().find("a", now), std::nullopt) << damaged;
    EXPECT_FALSE(fs::exists(file)) << damaged;
  }
  fs::create_directory(file);
  EXPECT_EQ(make().find("a", now), std::nullopt) << "a directory";
}

TEST_F(ARevocationCacheOnDisk, LeavesTheFilesOfOthersAlone) {
  fs::create_directories(directory());
  std::ofstream(directory() / "README") << std::string(100, 'x');
  RevocationCache cache(directory(), {.entries = 1, .bytes = 50});
  cache.keep("a", as_bytes("one"), now + 1h, now);
  cache.keep("b", as_bytes("two"), now + 1h, now);
  EXPECT_NE(cache.find("b", now), std::nullopt);
  EXPECT_EQ(cache.find("a", now), std::nullopt);
  EXPECT_TRUE(fs::exists(directory() / "README"));
}

TEST_F(ARevocationCacheOnDisk, ClearsAwayWhatAPowerCutLeft) {
  make().keep("a", as_bytes("one"), now + 1h, now);
  const fs::path left = directory() / ("." + std::string(64, 'a') + ".new");
  const fs::path other = directory() / ".other.new";
  std::ofstream(left) << "x";
  std::ofstream(other) << "x";
  make().keep("b", as_bytes("two"), now + 1h, now);
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(other));
}

TEST_F(ARevocationCacheOnDisk, IsEmptyWhereNothingCanBeWritten) {
  std::ofstream(place.path() / "file") << "x";
  RevocationCache cache(place.path() / "file" / "cache");
  cache.keep("a", as_bytes("one"), now + 1h, now);
  EXPECT_EQ(cache.find("a", now), std::nullopt);
}

}  // namespace
}  // namespace devid::pki
