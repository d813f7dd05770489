#include <gtest/gtest-spi.h>

#include <vector>

#include "agent/identity/state.h"
#include "tests/agent/identity/store_fixture.h"
#include "tests/support/full_file_system.h"

namespace devid::identity {
namespace {

using test::Room;
using testing::Contains;
using testing::EndsWith;
using testing::StartsWith;

constexpr Room few_bytes{.bytes = 40UL * 4096, .files = 10000};
constexpr Room few_files{.bytes = 4UL << 20U, .files = 40};

/// A store on a file system that can be filled to the brim: this process has no room, not a limit of its own.
class AStoreOnAFullDisk : public AStore, public testing::WithParamInterface<Room> {
 protected:
  /// Checks that run in a child, where the small file system is. Their failures are this process's.
  void on_small_disk(const std::function<void()>& checks) {
    EXPECT_EQ(test::on_small_file_system(disk(), GetParam(), [&] { return failures_of(checks); }), "");
  }

  [[nodiscard]] fs::path disk() const { return place().parent_path(); }

  /// Tries with ever more room until it works; each time before nothing must change. Returns what failed.
  std::vector<std::string> failures_until_there_is_room(const std::function<Result<>()>& action) {
    std::vector<std::string> failures;
    const auto before = snapshot(place());
    for (std::size_t spare = 0; spare < 20; ++spare) {
      SCOPED_TRACE(spare);
      test::fill(disk(), spare);
      const auto done = action();
      if (done) return failures;
      failures.push_back(done.error().what);
      EXPECT_EQ(done.error().code, Errc::storage_failed) << done.error().sentence();
      EXPECT_EQ(done.error().retry, Retry::later);
      EXPECT_EQ(done.error().reason, "No space left on device");
      EXPECT_EQ(done.error().hint, "free some space on this file system");
      EXPECT_EQ(snapshot(place()), before) << done.error().sentence();
    }
    ADD_FAILURE() << "it fails with much room too";
    return failures;
  }

 private:
  static std::string failures_of(const std::function<void()>& checks) {
    testing::TestPartResultArray results;
    {
      const testing::ScopedFakeTestPartResultReporter reporter(
          testing::ScopedFakeTestPartResultReporter::INTERCEPT_ALL_THREADS, &results);
      checks();
    }
    std::string text;
    for (int i = 0; i < results.size(); ++i) {
      const testing::TestPartResult& result = results.GetTestPartResult(i);
      if (result.failed()) text += std::to_string(result.line_number()) + ": " + result.message() + "\n";
    }
    return text;
  }
};

TEST_P(AStoreOnAFullDisk, KeepsWhatIsCurrentUntilThereIsRoomForTheNextOne) {
  on_small_disk([&] {
    Store filled = store_with(1);
    const auto failures = failures_until_there_is_room([&]() -> Result<> {
      const auto number = filled.install(material[1]);
      if (number) return {};
      expect_current(0, 1);
      return fail(number.error());
    });
    if (GetParam().files == few_files.files) {
      EXPECT_EQ(failures.size(), 8U) << "a directory, six files and a link";
      EXPECT_THAT(failures, Contains("cannot create " + (place() / "generation/.2.new").string()));
      EXPECT_THAT(failures, Contains(EndsWith("/.meta.json.new")));
      EXPECT_THAT(failures, Contains("cannot create " + (place() / ".current.new").string()));
    } else {
      EXPECT_GE(failures.size(), 6U);
      EXPECT_THAT(failures, Contains(StartsWith("cannot write ")));
    }
    expect_current(1, 2);
    test::unfill(disk());
    EXPECT_EQ(filled.install(material[2]).value_or(0), 3U);
  });
}

TEST_P(AStoreOnAFullDisk, HasTheWholeRequestOrNone) {
  const Request request = request_for(1);
  on_small_disk([&] {
    Store filled = store_with(1);
    const auto failures = failures_until_there_is_room([&] { return filled.save_request(request); });
    EXPECT_GE(failures.size(), 3U);
    expect_current(0, 1);
    ASSERT_TRUE(filled.request());
    EXPECT_EQ(filled.request()->value_or(request_for(0)), request);
    test::fill(disk(), 0);
    EXPECT_TRUE(filled.discard_request()) << "that takes no room";
    EXPECT_EQ(*filled.request(), std::nullopt);
  });
}

TEST_P(AStoreOnAFullDisk, IsPutRightAsSoonAsThereIsRoom) {
  on_small_disk([&] {
    Store filled = store_with(2);
    fs::resize_file(generation(2) / "certificate.pem", 10);
    const auto failures = failures_until_there_is_room([&]() -> Result<> {
      const auto done = filled.clean_up();
      return done ? Result<>() : fail(done.error());
    });
    // A link so short takes a file's room, and no bytes.
    EXPECT_EQ(failures.size(), GetParam().files == few_files.files ? 1U : 0U);
    expect_current(0, 1);
  });
}

TEST_P(AStoreOnAFullDisk, KeepsTheRecordOfTheAttempts) {
  on_small_disk([&] {
    Store filled = store_with(1);
    const fs::path file = place() / "state.json";
    ASSERT_TRUE(write_record(file, {.attempts = 1}));
    const auto failures = failures_until_there_is_room([&] { return write_record(file, {.attempts = 2}); });
    EXPECT_EQ(failures.size(), 1U);
    EXPECT_EQ((*read_record(file))->attempts, 2U);
  });
}

INSTANTIATE_TEST_SUITE_P(With, AStoreOnAFullDisk, testing::Values(few_bytes, few_files), [](const auto& each) {
  return each.param.files == few_files.files ? "NoMoreFiles" : "NoMoreBytes";
});

TEST_F(AStore, IsNotOpenedWhereThereIsNoRoomForItsDirectory) {
  const auto report = test::on_small_file_system(place().parent_path(), few_files, [&]() -> std::string {
    test::fill(place().parent_path(), 0);
    const auto opened = Store::open(place());
    return opened ? "opened" : opened.error().sentence() + "; " + opened.error().hint;
  });
  EXPECT_EQ(report,
            "cannot create " + place().string() + " (No space left on device); free some space on this file system");
}

}  // namespace
}  // namespace devid::identity
