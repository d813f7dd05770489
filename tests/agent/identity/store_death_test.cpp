#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <random>
#include <thread>

#include "tests/agent/identity/store_fixture.h"
#include "tests/support/killed_child.h"

namespace devid::identity {
namespace {

using test::ChildEnd;
using testing::UnorderedElementsAre;

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
