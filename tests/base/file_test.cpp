#include "base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <set>

#include "tests/support/killed_child.h"
#include "tests/support/temporary_directory.h"

namespace devid {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using testing::UnorderedElementsAre;

class InADirectory : public testing::Test {
 protected:
  [[nodiscard]] fs::path at(const std::string& name) const { return directory_.path() / name; }

  [[nodiscard]] std::set<std::string> names() const {
    std::set<std::string> found;
    for (const auto& each : fs::directory_iterator(directory_.path())) found.insert(each.path().filename().string());
    return found;
  }

  static void put(const fs::path& path, const std::string& content) {
    std::ofstream(path, std::ios::binary) << content;
  }
  static std::string content(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static mode_t mode(const fs::path& path) {
    struct stat info{};
    EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777U;
  }
  template <class T>
  static void expect_failure(const Result<T>& result, const std::string& what, const std::string& reason,
                             Errc code = Errc::storage_failed) {
    ASSERT_FALSE(result) << what;
    EXPECT_EQ(result.error().code, code);
    EXPECT_THAT(result.error().what, StartsWith(what));
    EXPECT_THAT(result.error().reason, HasSubstr(reason));
  }

 private:
  test::TemporaryDirectory directory_{"/dev/shm"};
};

/// What every umask does not change.
class Umask {
 public:
  explicit Umask(mode_t mask) : before_(::umask(mask)) {}
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;
  Umask(Umask&&) = delete;
  Umask& operator=(Umask&&) = delete;
  ~Umask() { ::umask(before_); }

 private:
  mode_t before_;
};

/// A disk on which a file cannot grow beyond this size.
class FullDisk {
 public:
  explicit FullDisk(rlim_t size) : before_action_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{.rlim_cur = size, .rlim_max = before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;
  FullDisk(FullDisk&&) = delete;
  FullDisk& operator=(FullDisk&&) = delete;
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, before_action_);
  }

 private:
  rlimit before_{};
  void (*before_action_)(int);
};

using ReadingAFile = InADirectory;

TEST_F(ReadingAFile, GivesItsContent) {
  using namespace std::string_literals;
  for (const std::string& text : {""s, "x"s, "a\0b\n"s, std::string(300000, 'y')}) {
    put(at("file"), text);
    const auto found = read_file(at("file"), 300000);
    ASSERT_TRUE(found) << found.error().sentence();
    EXPECT_EQ(*found, text);
  }
}

TEST_F(ReadingAFile, FollowsALink) {
  put(at("file"), "content");
  fs::create_symlink("file", at("link"));
  EXPECT_EQ(read_file(at("link"), 100).value_or(""), "content");
}

TEST_F(ReadingAFile, TakesNoMoreThanTheLimit) {
  put(at("file"), "12345");
  EXPECT_EQ(read_file(at("file"), 5).value_or(""), "12345");
  expect_failure(read_file(at("file"), 4), "cannot read " + at("file").string(), "larger than 4 bytes");
  expect_failure(read_file(at("file"), 0), "cannot read", "larger than 0 bytes");
}

TEST_F(ReadingAFile, SaysWhyItCannotBeRead) {
  fs::create_directory(at("directory"));
  ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
  fs::create_symlink("nowhere", at("dangling"));
  expect_failure(read_file(at("missing"), 9), "cannot open " + at("missing").string(), "No such file");
  expect_failure(read_file(at("missing"), 9, Errc::config_missing), "cannot open", "No such file",
                 Errc::config_missing);
  expect_failure(read_file(at("dangling"), 9), "cannot open", "No such file");
  expect_failure(read_file(at("directory"), 9, Errc::config_missing), "cannot read", "it is a directory",
                 Errc::config_missing);
  expect_failure(read_file(at("pipe"), 9), "cannot read", "not a regular file");  // and does not wait for a writer
  expect_failure(read_file("/dev/zero", 9), "cannot read", "not a regular file");
  expect_failure(read_file("", 9), "cannot open", "No such file");
}

using WritingAFile = InADirectory;

TEST_F(WritingAFile, ReplacesItsContentAndMode) {
  const Umask mask(0077);
  for (const mode_t wanted : {0644U, 0600U, 0666U}) {
    const std::string text = "text " + std::to_string(wanted);
    ASSERT_TRUE(write_file_atomically(at("file"), text, wanted));
    EXPECT_EQ(content(at("file")), text);
    EXPECT_EQ(mode(at("file")), wanted);
  }
  EXPECT_THAT(names(), ElementsAre("file"));
}

TEST_F(WritingAFile, LeavesTheOldOneAndNothingElseIfTheDiskIsFull) {
  put(at("file"), "old");
  for (const rlim_t size : {0, 1, 99}) {
    const FullDisk disk(size);
    expect_failure(write_file_atomically(at("file"), std::string(100, 'x'), 0644), "cannot write", "File too large");
    EXPECT_EQ(content(at("file")), "old");
    EXPECT_THAT(names(), ElementsAre("file"));
  }
  EXPECT_TRUE(write_file_atomically(at("file"), std::string(100, 'x'), 0644));
}

TEST_F(WritingAFile, ReplacesALinkAndNotWhatItPointsTo) {
  put(at("other"), "untouched");
  fs::create_symlink("other", at("file"));
  fs::create_symlink("other", at(".file.new"));
  ASSERT_TRUE(write_file_atomically(at("file"), "new", 0644));
  EXPECT_EQ(content(at("other")), "untouched");
  EXPECT_FALSE(fs::is_symlink(at("file")));
  EXPECT_EQ(content(at("file")), "new");
}

TEST_F(WritingAFile, TakesThePlaceOfWhatACutRunLeft) {
  put(at(".file.new"), "half");
  ASSERT_TRUE(write_file_atomically(at("file"), "whole", 0644));
  EXPECT_EQ(content(at("file")), "whole");
  EXPECT_THAT(names(), ElementsAre("file"));
}

TEST_F(WritingAFile, SaysWhyItCannotBeWritten) {
  fs::create_directory(at("directory"));
  expect_failure(write_file_atomically(at("no/such/file"), "x", 0644), "cannot create", "No such file");
  expect_failure(write_file_atomically(at("directory"), "x", 0644), "cannot replace " + at("directory").string(),
                 "directory");
  fs::create_directories(at(".in-the-way.new/x"));
  expect_failure(write_file_atomically(at("in-the-way"), "x", 0644), "cannot create", "File exists");
  EXPECT_THAT(names(), UnorderedElementsAre("directory", ".in-the-way.new"));
}

TEST_F(WritingAFile, LeavesTheOldOrTheNewContentWheneverItIsKilled) {
  bool new_one_seen = false;
  unsigned nth = 1;
  for (auto end = test::ChildEnd::killed; end == test::ChildEnd::killed && nth < 100; ++nth) {
    put(at("file"), "old content");
    end = test::run_until_system_call(
        nth, [&] { return write_file_atomically(at("file"), "the new content", 0644).has_value(); });
    ASSERT_NE(end, test::ChildEnd::failed);
    const std::string found = content(at("file"));
    EXPECT_TRUE(found == "old content" || found == "the new content") << found;
    new_one_seen = found == "the new content";
  }
  EXPECT_TRUE(new_one_seen);
  EXPECT_GT(nth, 8U);
}

using ALink = InADirectory;

TEST_F(ALink, IsMadeAndReplaced) {
  ASSERT_TRUE(replace_symlink(at("link"), "one"));
  EXPECT_EQ(fs::read_symlink(at("link")), "one");
  fs::create_symlink("cut", at(".link.new"));
  ASSERT_TRUE(replace_symlink(at("link"), "two"));
  EXPECT_EQ(fs::read_symlink(at("link")), "two");
  EXPECT_THAT(names(), ElementsAre("link"));
}

TEST_F(ALink, DoesNotTakeThePlaceOfADirectory) {
  fs::create_directory(at("link"));
  expect_failure(replace_symlink(at("link"), "one"), "cannot replace " + at("link").string(), "directory");
  EXPECT_THAT(names(), ElementsAre("link"));
  expect_failure(replace_symlink(at("no/link"), "one"), "cannot create", "No such file");
}

TEST_F(ALink, AlwaysLeadsSomewhereWheneverItsProcessIsKilled) {
  unsigned nth = 1;
  for (auto end = test::ChildEnd::killed; end == test::ChildEnd::killed && nth < 100; ++nth) {
    ASSERT_TRUE(replace_symlink(at("link"), "one"));
    end = test::run_until_system_call(nth, [&] { return replace_symlink(at("link"), "two").has_value(); });
    ASSERT_NE(end, test::ChildEnd::failed);
    EXPECT_THAT(fs::read_symlink(at("link")).string(), testing::AnyOf("one", "two"));
  }
  EXPECT_EQ(fs::read_symlink(at("link")), "two");
  EXPECT_GT(nth, 4U);
}

using ADirectory = InADirectory;

TEST_F(ADirectory, IsMadeWithItsParentsAndTheModeWhateverTheUmask) {
  const Umask mask(0077);
  ASSERT_TRUE(make_directories(at("a/b/c"), 0755));
  for (const char* name : {"a", "a/b", "a/b/c"}) EXPECT_EQ(mode(at(name)), 0755U) << name;
  ASSERT_TRUE(make_directories(at("a/private"), 0700));
  EXPECT_EQ(mode(at("a/private")), 0700U);
}

TEST_F(ADirectory, StaysAsItIsIfItIsThere) {
  ASSERT_TRUE(make_directories(at("a"), 0700));
  put(at("a/file"), "x");
  ASSERT_TRUE(make_directories(at("a"), 0755));
  EXPECT_EQ(mode(at("a")), 0700U);
  EXPECT_EQ(content(at("a/file")), "x");
  fs::create_directory_symlink("a", at("link"));
  EXPECT_TRUE(make_directories(at("link"), 0755));
}

TEST_F(ADirectory, IsNotMadeWhereAFileIs) {
  put(at("file"), "x");
  expect_failure(make_directories(at("file"), 0755), "cannot create " + at("file").string(), "Not a directory");
  expect_failure(make_directories(at("file/sub"), 0755), "cannot create", "Not a directory");
}

TEST_F(ADirectory, IsRenamedButNotOntoAnother) {
  fs::create_directories(at("from"));
  put(at("from/file"), "x");
  fs::create_directories(at("to/full"));
  expect_failure(rename_directory(at("from"), at("to")), "cannot create " + at("to").string(), "not empty");
  EXPECT_EQ(content(at("from/file")), "x");
  ASSERT_TRUE(rename_directory(at("from"), at("new")));
  EXPECT_EQ(content(at("new/file")), "x");
  expect_failure(rename_directory(at("missing"), at("other")), "cannot open " + at("missing").string(), "No such file");
}

TEST_F(ADirectory, IsRemovedWithAllThatIsInIt) {
  fs::create_directories(at("a/b"));
  put(at("a/b/file"), "x");
  put(at("kept"), "x");
  fs::create_symlink("../kept", at("a/link"));
  ASSERT_TRUE(devid::remove_all(at("a")));
  ASSERT_TRUE(devid::remove_all(at("a")));
  EXPECT_THAT(names(), ElementsAre("kept"));
  ASSERT_TRUE(devid::remove_all(at("kept")));
  EXPECT_THAT(names(), IsEmpty());
}

}  // namespace
}  // namespace devid
