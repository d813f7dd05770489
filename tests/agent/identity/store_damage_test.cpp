#include <unistd.h>

#include <functional>

#include "tests/agent/identity/store_fixture.h"

namespace devid::identity {
namespace {

using testing::IsEmpty;
using testing::UnorderedElementsAre;

/// What a disk, or a person, can do to the current generation.
class ADamagedStore : public AStore {
 protected:
  using Damage = std::function<void(const fs::path& generation)>;
  [[nodiscard]] std::map<std::string, Damage> damages() const {
    std::map<std::string, Damage> all;
    for (const char* name :
         {"token-key.pem", "certificate.pem", "certificate-chain.pem", "trust-anchors.pem", "meta.json"}) {
      all[std::string("no ") + name] = [=](const fs::path& path) { fs::remove(path / name); };
      all[std::string("empty ") + name] = [=](const fs::path& path) { fs::resize_file(path / name, 0); };
      all[std::string("huge ") + name] = [=](const fs::path& path) { fs::resize_file(path / name, 1UL << 30U); };
      all[std::string("directory ") + name] = [=](const fs::path& path) {
        fs::remove(path / name);
        fs::create_directory(path / name);
      };
      if (name == std::string("token-key.pem")) continue;  // devid cannot judge the token's own form
      all[std::string("half of ") + name] = [=](const fs::path& path) {
        fs::resize_file(path / name, fs::file_size(path / name) / 2);
      };
    }
    all["no chain"] = [](const fs::path& path) { fs::remove(path / "chain.pem"); };
    all["another chain"] = [](const fs::path& path) { fs::resize_file(path / "chain.pem", 0); };
    all["another certificate"] = [this](const fs::path& path) {
      write_text(path / "certificate.pem", material[2].leaf.pem());
      write_text(path / "certificate-chain.pem", material[2].leaf.pem() + pki::to_pem(material[1].chain));
    };
    all["two certificates"] = [](const fs::path& path) {
      write_text(path / "certificate.pem", read_text(path / "certificate-chain.pem"));
    };
    all["nothing"] = [](const fs::path& path) { fs::remove_all(path); };
    all["an empty directory"] = [](const fs::path& path) {
      fs::remove_all(path);
      fs::create_directory(path);
    };
    all["a file"] = [](const fs::path& path) {
      fs::remove_all(path);
      write_text(path, "x");
    };
    return all;
  }
};

TEST_F(ADamagedStore, FallsBackToTheGenerationBefore) {
  for (const auto& [what, damage] : damages()) {
    SCOPED_TRACE(what);
    fs::remove_all(place());
    Store filled = store_with(2);
    damage(generation(2));
    const auto current = filled.current();
    ASSERT_FALSE(current);
    EXPECT_EQ(current.error().code, Errc::state_corrupt);
    const auto done = filled.clean_up();
    ASSERT_TRUE(done) << done.error().sentence();
    EXPECT_TRUE(done->fell_back);
    EXPECT_THAT(done->abandoned_keys, IsEmpty());
    expect_current(0, 1);
    EXPECT_THAT(names_in(place() / "generation"), UnorderedElementsAre("1", "2.damaged"));
    EXPECT_FALSE(filled.clean_up()->fell_back);
    EXPECT_EQ(filled.install(material[2]).value_or(0), 3U);
    expect_current(2, 3);
  }
}

TEST_F(ADamagedStore, WithNothingToFallBackToIsAsIfNeverEnrolled) {
  for (const auto& [what, damage] : damages()) {
    SCOPED_TRACE(what);
    fs::remove_all(place());
    Store filled = store_with(1);
    damage(generation(1));
    const auto done = filled.clean_up();
    ASSERT_TRUE(done) << done.error().sentence();
    ASSERT_TRUE(filled.current());
    EXPECT_FALSE(*filled.current());
    EXPECT_FALSE(fs::is_symlink(place() / "current"));
    EXPECT_EQ(filled.install(material[1]).value_or(0), 2U);
  }
}

TEST_F(ADamagedStore, FindsTheNewestGenerationWhenTheLinkIsLostOrWrong) {
  const std::vector<std::function<void(const fs::path&)>> damages = {
      [](const fs::path& link) { fs::remove(link); },
      [](const fs::path& link) { fs::remove(link), fs::create_symlink("../../../etc", link); },
      [](const fs::path& link) { fs::remove(link), fs::create_symlink("generation/02", link); },
      [](const fs::path& link) { fs::remove(link), fs::create_symlink("generation/2/", link); },
      [](const fs::path& link) { fs::remove(link), fs::create_symlink("generation/-1", link); },
      [](const fs::path& link) { fs::remove(link), fs::create_symlink("generation/99999999999999999999", link); },
      [](const fs::path& link) { fs::remove(link), write_text(link, "generation/2"); },
      [](const fs::path& link) { fs::remove(link), fs::create_directory(link); },
  };
  for (const auto& damage : damages) {
    fs::remove_all(place());
    Store filled = store_with(2);
    damage(place() / "current");
    const auto done = filled.clean_up();
    ASSERT_TRUE(done) << done.error().sentence();
    EXPECT_TRUE(done->fell_back);
    EXPECT_THAT(done->abandoned_keys, IsEmpty());
    expect_current(1, 2);
    EXPECT_THAT(names_in(place()), UnorderedElementsAre("generation", "current"));
  }
}

TEST_F(ADamagedStore, IsNotJudgedWhileItsFilesCannotBeRead) {
  Store filled = store_with(2);
  const auto before = snapshot(place());
  const int lowest_free = ::dup(0);
  ::close(lowest_free);
  // One descriptor is left: enough to list the directory, not to read a file in it while it is listed, and none at the
  // second try.
  for (const int descriptors : {0, 1}) {
    const Limit none(RLIMIT_NOFILE, static_cast<rlim_t>(lowest_free + descriptors));
    const auto current = filled.current();
    const auto done = filled.clean_up();
    if (descriptors == 0) {
      ASSERT_FALSE(current);
      EXPECT_EQ(current.error().code, Errc::storage_failed);
      ASSERT_FALSE(done);
      EXPECT_EQ(done.error().code, Errc::storage_failed);
    }
  }
  EXPECT_EQ(snapshot(place()), before);
}

}  // namespace
}  // namespace devid::identity
