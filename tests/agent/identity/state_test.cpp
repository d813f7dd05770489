#include "agent/identity/state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "base/file.h"
#include "tests/support/temporary_directory.h"

namespace devid::identity {
namespace {

using testing::HasSubstr;

Time at(std::int64_t seconds) { return Time(Seconds(seconds)); }

Record full_record() {
  return {.generation = 7,
          .attempts = 3,
          .polls = 2,
          .unanswered = 4,
          .method = JobKind::renew,
          .last_attempt = at(1000),
          .last_success = at(500),
          .next_attempt = at(2000),
          .old_since = at(700),
          .old_until = at(3000),
          .begin_at = "https://est.example:443/.well-known/est",
          .pending_since = at(900),
          .last_error = Error{.code = Errc::server_refused,
                              .retry = Retry::after_operator,
                              .what = "cannot enroll",
                              .reason = "400: no",
                              .hint = "ask the CA"}};
}

class TheRecord : public testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path file() const { return directory_.path() / "state.json"; }
  test::TemporaryDirectory directory_;
};

TEST_F(TheRecord, SurvivesARestart) {
  ASSERT_TRUE(write_record(file(), full_record()));
  const auto read = read_record(file());
  ASSERT_TRUE(read && *read);
  const Record& record = **read;
  EXPECT_EQ(record.generation, 7U);
  EXPECT_EQ(record.attempts, 3U);
  EXPECT_EQ(record.polls, 2U);
  EXPECT_EQ(record.unanswered, 4U);
  EXPECT_EQ(record.method, JobKind::renew);
  EXPECT_EQ(record.last_attempt, at(1000));
  EXPECT_EQ(record.last_success, at(500));
  EXPECT_EQ(record.next_attempt, at(2000));
  EXPECT_EQ(record.begin_at, "https://est.example:443/.well-known/est");
  EXPECT_EQ(record.old_since, at(700));
  EXPECT_EQ(record.old_until, at(3000));
  EXPECT_EQ(record.pending_since, at(900));
  ASSERT_TRUE(record.last_error);
  EXPECT_EQ(record.last_error->code, Errc::server_refused);
  EXPECT_EQ(record.last_error->retry, Retry::after_operator);
  EXPECT_EQ(record.last_error->sentence(), "cannot enroll (400: no)");
  EXPECT_EQ(record.last_error->hint, "ask the CA");
}

TEST_F(TheRecord, KeepsHowFarItIsWithEachConsumer) {
  const std::vector<Told> consumers{
      {.action = {.verb = UnitVerb::reload, .unit = "nginx.service"}, .state = Told::State::done, .attempts = 1},
      {.action = {.verb = UnitVerb::try_reload_or_restart, .unit = "a@1.service"},
       .state = Told::State::failed,
       .attempts = 3,
       .next_attempt = at(2000),
       .message = "systemd could not (no)"},
      {.action = {.verb = UnitVerb::start, .unit = "b.target"}}};
  const auto read = parse_record(to_json({.generation = 7, .consumers = consumers}));
  ASSERT_TRUE(read) << read.error().reason;
  EXPECT_EQ(read->consumers, consumers);
}

TEST_F(TheRecord, PassesOverAConsumerThatANewerDevidKnowsHowToTell) {
  const auto read = parse_record(
      R"({"version": 1, "consumers": [{"action": "signal nginx.service", "state": "done"},
          {"action": "reload nginx.service", "state": "asked"}]})");
  ASSERT_TRUE(read) << read.error().reason;
  ASSERT_EQ(read->consumers.size(), 1U);
  EXPECT_EQ(read->consumers.front().state, Told::State::pending);
}

TEST_F(TheRecord, StaysReadableWithEveryConsumerAtItsWorst) {
  const std::string unit = std::string(247, '\\') + ".service";
  Record record = full_record();
  for (int i = 0; i < 16; ++i)
    record.consumers.push_back({.action = {.unit = unit}, .message = std::string(100000, '"')});
  ASSERT_TRUE(write_record(file(), record));
  EXPECT_TRUE(read_record(file()));
}

TEST_F(TheRecord, KeepsEveryErrorCode) {
  for (const Errc code : all_error_codes()) {
    const auto read = parse_record(to_json({.last_error = Error{.code = code, .what = "x"}}));
    ASSERT_TRUE(read && read->last_error) << code_name(code);
    EXPECT_EQ(read->last_error->code, code);
  }
}

TEST_F(TheRecord, IsEmptyWhereNothingWasRecorded) {
  const auto read = parse_record(to_json({}));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->attempts, 0U);
  EXPECT_FALSE(read->last_attempt || read->last_success || read->next_attempt || read->pending_since ||
               read->last_error);
}

TEST_F(TheRecord, IsNoErrorWhereThereIsNone) {
  const auto read = read_record(file());
  ASSERT_TRUE(read);
  EXPECT_FALSE(*read);
}

TEST_F(TheRecord, IsWrittenInAFormThatPeopleCanReadAndOthersCannotChange) {
  ASSERT_TRUE(write_record(file(), full_record()));
  struct stat info{};
  ASSERT_EQ(stat(file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0644U);
  EXPECT_EQ(*read_file(file(), 10000), R"({
  "version": 1,
  "generation": 7,
  "attempts": 3,
  "polls": 2,
  "unanswered": 4,
  "method": "renew",
  "last_attempt": 1000,
  "last_success": 500,
  "next_attempt": 2000,
  "old_since": 700,
  "old_until": 3000,
  "begin_at": "https://est.example:443/.well-known/est",
  "pending_since": 900,
  "last_error": {
    "code": "ServerRefused",
    "retry": "after-operator",
    "what": "cannot enroll",
    "reason": "400: no",
    "hint": "ask the CA"
  }
}
)");
}

TEST_F(TheRecord, HoldsNoRawBytesOfAServer) {
  Record record = full_record();
  record.last_error->reason = "a\x1b[31m\xff\nb" + std::string(100000, 'x');
  const std::string json = to_json(record);
  EXPECT_LT(json.size(), 5000U);
  EXPECT_THAT(json, HasSubstr(R"(a\\x1b[31m\\xff\\x0ab)"));
  EXPECT_TRUE(parse_record(json));
}

struct Bad {
  const char* name;
  std::string json;
  std::string reason;
};

void PrintTo(const Bad& bad, std::ostream* out) { *out << bad.reason; }

class ARecordThatWeDidNotWrite : public testing::TestWithParam<Bad> {};

TEST_P(ARecordThatWeDidNotWrite, IsRefusedWithAReason) {
  const auto read = parse_record(GetParam().json);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Errc::state_corrupt);
  EXPECT_EQ(read.error().retry, Retry::later);
  EXPECT_EQ(read.error().reason, GetParam().reason);
  EXPECT_THAT(read.error().hint, HasSubstr("nothing to do"));
}

const std::string not_json = "it is not JSON, or is cut short";
INSTANTIATE_TEST_SUITE_P(
    Each, ARecordThatWeDidNotWrite,
    testing::Values(
        Bad{"Empty", "", not_json}, Bad{"Truncated", to_json(full_record()).substr(0, 60), not_json},
        Bad{"Zeros", std::string(64, '\0'), not_json}, Bad{"Text", "hello", not_json},
        Bad{"Trailing", to_json({}) + "x", not_json}, Bad{"Array", "[]", "it is not a JSON object"},
        Bad{"NoVersion", "{}", "its version is 0, this devid knows version 1"},
        Bad{"Newer", R"({"version": 2})", "its version is 2, this devid knows version 1"},
        Bad{"VersionText", R"({"version": "1"})", "its version is 0, this devid knows version 1"},
        Bad{"ConsumersText", R"({"version": 1, "consumers": "x"})", "the value of 'consumers' is wrong"},
        Bad{"ConsumersOfNumbers", R"({"version": 1, "consumers": [1]})", "the value of 'consumers' is wrong"},
        Bad{"ConsumerWithoutAction", R"({"version": 1, "consumers": [{"state": "done"}]})",
            "the value of 'action' is wrong"},
        Bad{"Negative", R"({"version": 1, "attempts": -1})", "the value of 'attempts' is wrong"},
        Bad{"Fraction", R"({"version": 1, "attempts": 1.5})", "the value of 'attempts' is wrong"},
        Bad{"TooMany", R"({"version": 1, "attempts": 4294967296})", "the value of 'attempts' is wrong"},
        Bad{"TimeText", R"({"version": 1, "next_attempt": "now"})", "the value of 'next_attempt' is wrong"},
        Bad{"TimeNull", R"({"version": 1, "last_attempt": null})", "the value of 'last_attempt' is wrong"},
        Bad{"Year10000", R"({"version": 1, "next_attempt": 253402300800})", "the value of 'next_attempt' is wrong"},
        Bad{"ErrorText", R"({"version": 1, "last_error": "no"})", "the value of 'last_error' is wrong"},
        Bad{"ErrorEmpty", R"({"version": 1, "last_error": {}})", "the value of 'code' is wrong"},
        Bad{"ErrorCode",
            R"({"version": 1, "last_error": {"code": "Nope", "retry": "later", "what": "", "reason": "", "hint": ""}})",
            "the value of 'last_error' is wrong"},
        Bad{"Deep", std::string(60000, '['), not_json}),
    [](const auto& param) { return param.param.name; });

TEST_F(TheRecord, IsCorruptWhereItIsADirectoryOrTooLarge) {
  ASSERT_TRUE(make_directories(file(), 0755));
  auto read = read_record(file());
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Errc::state_corrupt);
  ASSERT_TRUE(devid::remove_all(file()));
  std::ofstream(file()) << std::string(100000, ' ');
  read = read_record(file());
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Errc::state_corrupt);
  EXPECT_THAT(read.error().sentence(), HasSubstr("larger than 65536 bytes"));
}

TEST_F(TheRecord, NamesItsFileWhenItIsCorrupt) {
  std::ofstream(file()) << "{";
  const auto read = read_record(file());
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().sentence(), "cannot use " + file().string() + " (" + not_json + ")");
}

}  // namespace
}  // namespace devid::identity
