#include "agent/identity/store.h"

#include <csignal>
#include <functional>

#include "tests/agent/identity/store_fixture.h"

namespace devid::identity {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

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

}  // namespace
}  // namespace devid::identity
