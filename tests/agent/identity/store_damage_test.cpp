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
    for (const char* name : {"token-key.pem", "certificate.pem", "certificate-chain.pem", "trust-anchors.pem"}) {
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
    EXPECT_THAT(current.error().hint, testing::HasSubstr("restart devidd"));
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

TEST_F(ADamagedStore, FindsTheNewestGenerationWhenTheLinkIsWrong) {
  const std::vector<std::function<void(const fs::path&)>> damages = {
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

TEST_F(ADamagedStore, NamesTheNewestGenerationWhereNothingIsNamed) {
  for (const std::size_t generations : {1, 2}) {  // one: killed just before it was to be named for the first time
    fs::remove_all(place());
    Store filled = store_with(generations);
    fs::remove(place() / "current");
    const auto done = filled.clean_up();
    ASSERT_TRUE(done) << done.error().sentence();
    EXPECT_FALSE(done->fell_back) << "no generation was damaged";
    EXPECT_THAT(done->abandoned_keys, IsEmpty());
    expect_current(generations - 1, generations);
  }
}

/// What may become of the record of a key, when the rest of its generation is as it was written.
class AStoreWithoutARecord : public AStore {
 protected:
  [[nodiscard]] static std::map<std::string, std::function<void(const fs::path& record)>> damages() {
    return {
        {"none", [](const fs::path& record) { fs::remove(record); }},
        {"empty", [](const fs::path& record) { fs::resize_file(record, 0); }},
        {"half", [](const fs::path& record) { fs::resize_file(record, fs::file_size(record) / 2); }},
        {"huge", [](const fs::path& record) { fs::resize_file(record, 1UL << 30U); }},
        {"a directory", [](const fs::path& record) { fs::remove(record), fs::create_directory(record); }},
        {"a loop", [](const fs::path& record) { fs::remove(record), fs::create_symlink("meta.json", record); }},
        {"of a devid of another kind", [](const fs::path& record) { write_text(record, R"({"version": 7})"); }},
    };
  }
};

TEST_F(AStoreWithoutARecord, KeepsTheCredentialAndGoesByWhatItSays) {
  for (const auto& [what, damage] : damages()) {
    SCOPED_TRACE(what);
    fs::remove_all(place());
    Store filled = store_with(2);
    damage(generation(2) / "meta.json");
    const auto done = filled.clean_up();
    ASSERT_TRUE(done) << done.error().sentence();
    EXPECT_FALSE(done->fell_back);
    EXPECT_THAT(names_in(place() / "generation"), UnorderedElementsAre("1", "2"));
    EXPECT_EQ(fs::read_symlink(place() / "current"), "generation/2");
    Generation expected = material[1];
    expected.provenance = {.token = "tpm",
                           .key_protection = "unknown",
                           .public_key = material[1].provenance.public_key,
                           .server = "",
                           .method = JobKind::enroll,
                           .created = material[1].leaf.not_before()};
    const auto found = filled.current();
    ASSERT_TRUE(found) << found.error().sentence();
    expect_same(**found, expected, 2);
    EXPECT_EQ(filled.install(material[2]).value_or(0), 3U);
  }
}

TEST_F(AStoreWithoutARecord, KnowsAKeyOfTheTpmByItsForm) {
  material[0].token_key_pem = "-----BEGIN TSS2 PRIVATE KEY-----\nAA==\n-----END TSS2 PRIVATE KEY-----\n";
  Store filled = store_with(1);
  fs::remove(generation(1) / "meta.json");
  ASSERT_TRUE(filled.current());
  EXPECT_EQ((*filled.current())->provenance.key_protection, "tpm2");
}

TEST_F(AStoreWithoutARecord, IsNotOneThatANewerDevidHasWritten) {
  Store filled = store_with(2);
  const fs::path record = generation(2) / "meta.json";
  std::string text = read_text(record);
  text.replace(text.find("\"version\": 1"), 12, "\"version\": 2, \"more\": [1]");
  write_text(record, text);
  ASSERT_TRUE(filled.clean_up());
  EXPECT_FALSE(filled.clean_up()->fell_back);
  expect_current(1, 2);
}

TEST_F(ADamagedStore, IsNotOneWithAKeyThatOnlyANewerDevidKnows) {
  Store filled = store_with(2);
  test::TestPki other;
  other.make_ca("root");
  const auto leaf = other.issue({.issuer = "root", .key = test::TestKey::rsa_1024});  // one that this devid refuses
  write_text(generation(2) / "certificate.pem", leaf.certificate_pem);
  write_text(generation(2) / "certificate-chain.pem", leaf.certificate_pem + pki::to_pem(material[1].chain));
  const auto before = snapshot(place());
  const auto done = filled.clean_up();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errc::token_unsupported);
  EXPECT_THAT(done.error().sentence(), testing::HasSubstr((generation(2) / "certificate.pem").string()));
  EXPECT_EQ(snapshot(place()), before);
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
