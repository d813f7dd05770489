#include "agent/identity/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "agent/pki/csr.h"
#include "tests/support/certificate_of.h"
#include "tests/support/fake_token.h"
#include "tests/support/killed_child.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_pki.h"

namespace devid::identity {
namespace {

namespace fs = std::filesystem;
using test::ChildEnd;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

void write_text(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Every file below a directory, with its content; a symbolic link with its target.
std::map<std::string, std::string> snapshot(const fs::path& directory) {
  std::map<std::string, std::string> files;
  for (const auto& each : fs::recursive_directory_iterator(directory)) {
    const std::string name = each.path().lexically_relative(directory).string();
    if (each.is_symlink())
      files[name] = "-> " + fs::read_symlink(each.path()).string();
    else
      files[name] = each.is_regular_file() ? read_text(each.path()) : "directory";
  }
  return files;
}

std::set<std::string> names_in(const fs::path& directory) {
  std::set<std::string> names;
  for (const auto& each : fs::directory_iterator(directory)) names.insert(each.path().filename().string());
  return names;
}

mode_t mode_of(const fs::path& path) {
  struct stat info{};
  EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777U;
}

/// A resource limit of this process, put back at the end.
class Limit {
 public:
  Limit(__rlimit_resource resource, rlim_t value) : resource_(resource) {
    ::getrlimit(resource_, &before_);
    const rlimit now{.rlim_cur = value, .rlim_max = before_.rlim_max};
    ::setrlimit(resource_, &now);
  }
  Limit(const Limit&) = delete;
  Limit& operator=(const Limit&) = delete;
  Limit(Limit&&) = delete;
  Limit& operator=(Limit&&) = delete;
  ~Limit() { ::setrlimit(resource_, &before_); }

 private:
  __rlimit_resource resource_;
  rlimit before_{};
};

/// A store, and material for three generations: certificates from the openssl command for keys of a fake token.
class AStore : public testing::Test {
 protected:
  AStore() {
    pki_.make_ca("root");
    pki_.make_ca("issuing", "root");
    for (int i = 0; i < 3; ++i) {
      keys_.push_back(std::move(*token_.create_key({.algorithm = KeyAlgorithm::ec_p256, .label = "x"})));
      const PublicKey& key = keys_.back()->public_key();
      const auto leaf =
          pki_.issue({.issuer = "issuing", .public_key = test::public_key_pem(std::string(as_text(key.spki)))});
      material.push_back({.token_key_pem = keys_.back()->pem(),
                          .leaf = test::certificate_of(leaf.certificate_pem),
                          .chain = test::certificates_of(leaf.chain_pem),
                          .anchors = test::certificates_of(pki_.ca("root").certificate_pem),
                          .provenance = {.token = "fake",
                                         .key_protection = "none",
                                         .public_key = key,
                                         .server = "https://est.example/.well-known/est",
                                         .method = i == 0 ? JobKind::enroll : JobKind::renew,
                                         .created = Time(Seconds(1772366400 + i))}});
    }
  }

  [[nodiscard]] fs::path place() const { return temporary_.path() / "gateway"; }
  [[nodiscard]] Store store() const { return std::move(*Store::open(place())); }
  [[nodiscard]] fs::path generation(std::uint64_t number) const {
    return place() / "generation" / std::to_string(number);
  }

  /// A store with the first `count` generations.
  Store store_with(std::size_t count) {
    Store filled = store();
    for (std::size_t i = 0; i < count; ++i) {
      const auto number = filled.install(material[i]);
      if (!number) throw std::runtime_error(number.error().sentence());
    }
    return filled;
  }

  Request request_for(std::size_t index) {
    const auto signing = SigningKey::wrap(*keys_[index]);
    auto csr = pki::make_csr(**signing, {.names = {.subject = {{.type = "CN", .value = "gateway"}}, .alternatives = {}},
                                         .challenge_password = std::nullopt});
    if (!csr) throw std::runtime_error(csr.error().sentence());
    return {.token_key_pem = material[index].token_key_pem,
            .csr = std::move(*csr),
            .provenance = material[index].provenance};
  }

  static void expect_same(const Generation& found, const Generation& expected, std::uint64_t number) {
    EXPECT_EQ(found.number, number);
    EXPECT_EQ(found.token_key_pem, expected.token_key_pem);
    EXPECT_EQ(found.leaf, expected.leaf);
    EXPECT_EQ(found.chain, expected.chain);
    EXPECT_EQ(found.anchors, expected.anchors);
    EXPECT_EQ(found.provenance, expected.provenance);
  }

  void expect_current(std::size_t index, std::uint64_t number) const {
    const auto found = store().current();
    ASSERT_TRUE(found) << found.error().sentence();
    ASSERT_TRUE(*found);
    expect_same(**found, material[index], number);
  }

  static std::vector<std::string> pems(const CleanUp& done) {
    std::vector<std::string> result;
    for (const AbandonedKey& key : done.abandoned_keys) result.push_back(key.token_key_pem);
    return result;
  }

  std::vector<Generation> material;

 private:
  test::TemporaryDirectory temporary_{"/dev/shm"};  // in memory: a process dies here often, the power never fails
  test::TestPki pki_;
  test::FakeHardware hardware_;
  test::FakeToken token_{hardware_};
  std::vector<std::unique_ptr<PrivateKey>> keys_;
};

TEST_F(AStore, HasNothingAtFirst) {
  Store fresh = store();
  EXPECT_EQ(mode_of(place()), 0755U);
  ASSERT_TRUE(fresh.current());
  EXPECT_EQ(fresh.current()->has_value(), false);
  ASSERT_TRUE(fresh.request());
  EXPECT_EQ(*fresh.request(), std::nullopt);
  const auto done = fresh.clean_up();
  ASSERT_TRUE(done) << done.error().sentence();
  EXPECT_THAT(done->abandoned_keys, IsEmpty());
  EXPECT_FALSE(done->fell_back);
  EXPECT_THAT(names_in(place()), IsEmpty());
}

TEST_F(AStore, GivesBackWhatWasInstalledLast) {
  Store filled = store();
  for (std::size_t i = 0; i < 3; ++i) {
    const auto number = filled.install(material[i]);
    ASSERT_TRUE(number) << number.error().sentence();
    EXPECT_EQ(*number, i + 1);
    expect_current(i, i + 1);
  }
  EXPECT_EQ(fs::read_symlink(place() / "current"), "generation/3");
  EXPECT_EQ(filled.current_directory(), place() / "current");
}

TEST_F(AStore, HoldsFilesThatOtherProgramsCanRead) {
  const ::mode_t before = ::umask(0077);
  store_with(1);
  ::umask(before);
  const fs::path current = place() / "current";
  EXPECT_THAT(names_in(current), UnorderedElementsAre("token-key.pem", "certificate.pem", "chain.pem",
                                                      "certificate-chain.pem", "trust-anchors.pem", "meta.json"));
  EXPECT_EQ(read_text(current / "certificate.pem"), material[0].leaf.pem());
  EXPECT_EQ(read_text(current / "chain.pem"), pki::to_pem(material[0].chain));
  EXPECT_EQ(read_text(current / "certificate-chain.pem"), material[0].leaf.pem() + pki::to_pem(material[0].chain));
  EXPECT_EQ(read_text(current / "trust-anchors.pem"), pki::to_pem(material[0].anchors));
  EXPECT_EQ(mode_of(place()), 0755U);
  EXPECT_EQ(mode_of(place() / "generation"), 0755U);
  EXPECT_EQ(mode_of(generation(1)), 0755U);
  for (const auto& name : names_in(generation(1)))
    EXPECT_EQ(mode_of(generation(1) / name), name == "token-key.pem" ? 0600U : 0644U) << name;
}

TEST_F(AStore, NeverChangesAGenerationOnceWritten) {
  Store filled = store_with(1);
  const auto before = snapshot(generation(1));
  ASSERT_TRUE(filled.install(material[1]));
  ASSERT_TRUE(filled.clean_up());
  EXPECT_EQ(snapshot(generation(1)), before);
}

TEST_F(AStore, TakesAGenerationWithoutIntermediates) {
  material[0].chain.clear();
  store_with(1);
  expect_current(0, 1);
}

TEST_F(AStore, RefusesAGenerationWhosePartsDoNotBelongTogether) {
  Store filled = store_with(1);
  const auto before = snapshot(place());
  Generation wrong_key = material[1];
  wrong_key.provenance.public_key = material[2].provenance.public_key;
  Generation no_key = material[1];
  no_key.token_key_pem.clear();
  Generation no_anchor = material[1];
  no_anchor.anchors.clear();
  for (const Generation& wrong : {wrong_key, no_key, no_anchor}) {
    const auto number = filled.install(wrong);
    ASSERT_FALSE(number);
    EXPECT_EQ(number.error().code, Errc::state_corrupt);
    EXPECT_EQ(snapshot(place()), before);
  }
}

TEST_F(AStore, LeavesEverythingAsItIsWhenTheDiskIsFull) {
  Store filled = store_with(1);
  const auto before = snapshot(place());
  const auto previous = std::signal(SIGXFSZ, SIG_IGN);
  std::size_t failures = 0;
  for (rlim_t limit = 0; limit < 4096; limit += 64) {
    const Result<std::uint64_t> number = [&] {
      const Limit full(RLIMIT_FSIZE, limit);
      return filled.install(material[1]);
    }();
    if (number) break;
    ++failures;
    EXPECT_EQ(number.error().code, Errc::storage_failed);
    EXPECT_EQ(number.error().retry, Retry::later);
    EXPECT_EQ(snapshot(place()), before) << limit;
  }
  std::signal(SIGXFSZ, previous);
  EXPECT_GT(failures, 10U);
  EXPECT_EQ(names_in(place() / "generation").contains("2"), true);
}

TEST_F(AStore, KeepsARequestUntilItIsDiscarded) {
  Store filled = store_with(1);
  const Request request = request_for(1);
  ASSERT_TRUE(filled.save_request(request));
  ASSERT_TRUE(filled.request()) << filled.request().error().sentence();
  EXPECT_EQ(**filled.request(), request);
  EXPECT_EQ(mode_of(place() / "request"), 0700U);
  for (const auto& name : names_in(place() / "request")) EXPECT_EQ(mode_of(place() / "request" / name), 0600U) << name;
  EXPECT_THAT(names_in(place() / "request"), UnorderedElementsAre("token-key.pem", "request.der", "meta.json"));

  const auto second = filled.save_request(request_for(2));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::wrong_state);
  EXPECT_EQ(**filled.request(), request);
  ASSERT_TRUE(filled.clean_up());
  EXPECT_EQ(**filled.request(), request);

  ASSERT_TRUE(filled.discard_request());
  ASSERT_TRUE(filled.discard_request());
  EXPECT_EQ(*filled.request(), std::nullopt);
  EXPECT_THAT(names_in(place()), UnorderedElementsAre("generation", "current"));
}

TEST_F(AStore, HasNoRequestWhenTheDiskIsFull) {
  Store filled = store_with(1);
  const auto before = snapshot(place());
  const Request request = request_for(1);
  const auto previous = std::signal(SIGXFSZ, SIG_IGN);
  for (const rlim_t limit : {0, 60, 200}) {
    const Limit full(RLIMIT_FSIZE, limit);
    const auto saved = filled.save_request(request);
    ASSERT_FALSE(saved);
    EXPECT_EQ(saved.error().code, Errc::storage_failed);
    EXPECT_EQ(snapshot(place()), before);
  }
  std::signal(SIGXFSZ, previous);
}

TEST_F(AStore, SaysThatARequestIsDamagedAndRemovesIt) {
  const Request request = request_for(0);
  const std::vector<std::function<void(const fs::path&)>> damages = {
      [](const fs::path& path) { fs::remove(path / "request.der"); },
      [](const fs::path& path) { fs::resize_file(path / "request.der", 100); },
      [](const fs::path& path) { write_text(path / "request.der", read_text(path / "request.der") + "x"); },
      [&](const fs::path& path) { write_text(path / "request.der", std::string(as_text(request_for(1).csr))); },
      [](const fs::path& path) { fs::resize_file(path / "meta.json", 10); },
      [](const fs::path& path) { write_text(path / "meta.json", std::string(1U << 20U, ' ')); },
  };
  for (const auto& damage : damages) {
    Store filled = store();
    ASSERT_TRUE(filled.save_request(request));
    damage(place() / "request");
    ASSERT_FALSE(filled.request());
    EXPECT_EQ(filled.request().error().code, Errc::state_corrupt);
    const auto done = filled.clean_up();
    ASSERT_TRUE(done) << done.error().sentence();
    EXPECT_THAT(pems(*done), ElementsAre(request.token_key_pem));
    EXPECT_EQ(*filled.request(), std::nullopt);
  }
}

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

TEST_F(AStore, RemovesAGenerationThatNeverBecameCurrent) {
  Store filled = store_with(2);
  fs::remove(place() / "current");
  fs::create_symlink("generation/1", place() / "current");
  const auto done = filled.clean_up();
  ASSERT_TRUE(done) << done.error().sentence();
  EXPECT_FALSE(done->fell_back);
  ASSERT_EQ(done->abandoned_keys.size(), 1U);
  EXPECT_EQ(done->abandoned_keys[0].token, "fake");
  EXPECT_EQ(done->abandoned_keys[0].token_key_pem, material[1].token_key_pem);
  EXPECT_THAT(names_in(place() / "generation"), ElementsAre("1"));
  expect_current(0, 1);
}

TEST_F(AStore, NeverAbandonsAKeyThatIsStillInUse) {
  Store filled = store_with(1);
  // Killed between installing and discarding: the request's key is in the current generation.
  ASSERT_TRUE(filled.save_request(request_for(0)));
  auto done = filled.clean_up();
  ASSERT_TRUE(done) << done.error().sentence();
  EXPECT_THAT(done->abandoned_keys, IsEmpty());
  EXPECT_EQ(*filled.request(), std::nullopt);
  // Killed while installing: the unfinished generation has the key of the request, which will be presented again.
  ASSERT_TRUE(filled.save_request(request_for(1)));
  fs::create_directory(place() / "generation/.2.new");
  write_text(place() / "generation/.2.new/token-key.pem", material[1].token_key_pem);
  done = filled.clean_up();
  ASSERT_TRUE(done) << done.error().sentence();
  EXPECT_THAT(done->abandoned_keys, IsEmpty());
  EXPECT_NE(*filled.request(), std::nullopt);
  EXPECT_THAT(names_in(place() / "generation"), ElementsAre("1"));
}

/// A store in which a process is killed before each of its system calls in turn.
class AStoreWhoseProcessIsKilled : public AStore {
 protected:
  /// Prepares, lets `action` be killed, and checks, once for every system call. Returns how many there were.
  unsigned at_every_system_call(const std::function<void()>& prepare, const std::function<bool(Store&)>& action,
                                const std::function<void()>& check) {
    const fs::path prepared = place().parent_path() / "prepared";
    fs::remove_all(prepared);
    fs::remove_all(place());
    prepare();
    fs::rename(place(), prepared);
    for (unsigned nth = 1; nth < 5000; ++nth) {
      fs::remove_all(place());
      fs::copy(prepared, place(), fs::copy_options::recursive | fs::copy_options::copy_symlinks);
      const ChildEnd end = test::run_until_system_call(nth, [&] {
        Store mine = store();
        return action(mine);
      });
      EXPECT_NE(end, ChildEnd::failed) << "system call " << nth;
      check();
      if (end != ChildEnd::killed || HasFailure()) return nth;
    }
    return 0;
  }
};

TEST_F(AStoreWhoseProcessIsKilled, HasTheOldOrTheNewGenerationAtEveryInstant) {
  bool new_one_seen = false;
  const auto calls =
      at_every_system_call([&] { store_with(1); }, [&](Store& mine) { return mine.install(material[1]).has_value(); },
                           [&] {
                             const auto found = store().current();
                             ASSERT_TRUE(found) << found.error().sentence();
                             ASSERT_TRUE(*found);
                             const std::uint64_t number = (*found)->number;
                             new_one_seen = number == 2;
                             expect_same(**found, material[number - 1], number);
                             // And the next run puts everything right.
                             const auto done = store().clean_up();
                             ASSERT_TRUE(done) << done.error().sentence();
                             EXPECT_FALSE(done->fell_back);
                             expect_current(number - 1, number);
                             EXPECT_EQ(names_in(place() / "generation"),
                                       number == 2 ? (std::set<std::string>{"1", "2"}) : std::set<std::string>{"1"});
                             EXPECT_THAT(names_in(place()), UnorderedElementsAre("generation", "current"));
                             for (const std::string& pem : pems(*done)) {
                               EXPECT_EQ(number, 1U);
                               EXPECT_EQ(pem, material[1].token_key_pem);
                             }
                           });
  EXPECT_TRUE(new_one_seen);
  EXPECT_GT(calls, 50U);
  RecordProperty("system_calls", static_cast<int>(calls));
}

TEST_F(AStoreWhoseProcessIsKilled, HasTheFirstGenerationOrNone) {
  at_every_system_call([&] { store_with(0); }, [&](Store& mine) { return mine.install(material[0]).has_value(); },
                       [&] {
                         const auto before = store().current();
                         ASSERT_TRUE(before) << before.error().sentence();
                         const auto done = store().clean_up();
                         ASSERT_TRUE(done) << done.error().sentence();
                         const auto found = store().current();
                         ASSERT_TRUE(found) << found.error().sentence();
                         if (*found) expect_same(**found, material[0], 1);
                         EXPECT_TRUE(!*before || *found);
                         for (const std::string& pem : pems(*done)) {
                           EXPECT_EQ(pem, material[0].token_key_pem);
                           EXPECT_FALSE(*found);
                         }
                       });
}

TEST_F(AStoreWhoseProcessIsKilled, HasTheWholeRequestOrNone) {
  const Request request = request_for(1);
  at_every_system_call([&] { store_with(1); }, [&](Store& mine) { return mine.save_request(request).has_value(); },
                       [&] {
                         const auto before = store().request();
                         ASSERT_TRUE(before) << before.error().sentence();
                         const auto done = store().clean_up();
                         ASSERT_TRUE(done) << done.error().sentence();
                         const auto after = store().request();
                         ASSERT_TRUE(after) << after.error().sentence();
                         EXPECT_EQ(*before, *after);
                         EXPECT_EQ(after->value_or(request), request);
                         EXPECT_EQ(fs::exists(place() / ".request.new"), false);
                         for (const std::string& pem : pems(*done)) {
                           EXPECT_EQ(pem, request.token_key_pem);
                           EXPECT_FALSE(*after);
                         }
                       });
  at_every_system_call(
      [&] {
        Store filled = store_with(1);
        ASSERT_TRUE(filled.save_request(request));
      },
      [&](Store& mine) { return mine.discard_request().has_value(); },
      [&] {
        const auto found = store().request();
        ASSERT_TRUE(found) << found.error().sentence();
        EXPECT_EQ(found->value_or(request), request);
        ASSERT_TRUE(store().clean_up());
        EXPECT_EQ(fs::exists(place() / ".request.old"), false);
      });
}

TEST_F(AStoreWhoseProcessIsKilled, IsPutRightAlsoWhenThatIsCutShort) {
  at_every_system_call(
      [&] {
        Store filled = store_with(3);
        fs::resize_file(generation(2) / "certificate.pem", 10);
        fs::remove(place() / "current");
        fs::create_symlink("generation/2", place() / "current");
        fs::copy(generation(1), place() / "generation/.4.new");
        ASSERT_TRUE(filled.save_request(request_for(0)));
      },
      [&](Store& mine) { return mine.clean_up().has_value(); },
      [&] {
        const auto done = store().clean_up();
        ASSERT_TRUE(done) << done.error().sentence();
        expect_current(0, 1);
        EXPECT_THAT(names_in(place()), UnorderedElementsAre("generation", "current"));
      });
}

TEST_F(AStoreWhoseProcessIsKilled, IsRightAtAnyTimeDuringManyRenewals) {
  constexpr int rounds = 60;
  std::minstd_rand random(20260301);
  store_with(1);
  std::uint64_t last = 1;
  for (int round = 0; round < rounds; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      Store mine = store();
      for (std::size_t i = 0; mine.install(material[i % 3]); ++i) {
      }
      ::_exit(1);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 20000));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "installing failed";
    const auto found = store().current();
    ASSERT_TRUE(found) << found.error().sentence();
    ASSERT_TRUE(*found);
    EXPECT_GE((*found)->number, last);
    last = (*found)->number;
    const auto done = store().clean_up();
    ASSERT_TRUE(done) << done.error().sentence();
    EXPECT_FALSE(done->fell_back);
    EXPECT_EQ(names_in(place() / "generation").size(), last);
  }
  RecordProperty("generations", static_cast<int>(last));
  EXPECT_GT(last, 1U);
}

}  // namespace
}  // namespace devid::identity
