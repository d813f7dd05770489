#include <gmock/gmock.h>

#include <algorithm>

#include "agent/identity/abandoned_keys.h"
#include "agent/identity/state.h"
#include "base/file.h"
#include "tests/agent/identity/site.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;
using identity::State;
using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A device whose certificates last for ninety days, and that has generations behind it.
class OldGenerations : public Site {
 protected:
  OldGenerations() {
    start_server(days(90));
    profile();
    enroll();
  }

  void profile(const std::string& renewal = {}) {
    write_profile("[renewal]\nprove = false\n" + renewal);
    load();
  }
  [[nodiscard]] std::set<std::string> generations() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory() / "generation")) names.insert(entry.path().filename());
    return names;
  }
  [[nodiscard]] std::string key_of(int number) const {
    return read_file(directory() / "generation" / std::to_string(number) / "token-key.pem", 10000).value_or("");
  }
  [[nodiscard]] bool is_in_token(const std::string& key) {
    return FakeToken(hardware_, "tpm").open_key(key).has_value();
  }
  /// What a run that has nothing to do takes away.
  std::vector<std::uint64_t> retire() {
    std::vector<std::uint64_t> all;
    for (const auto& [name, retired] : agent_->retire_old()) {
      EXPECT_TRUE(retired) << retired.error().sentence();
      if (retired) std::ranges::copy(*retired, std::back_inserter(all));
    }
    return all;
  }
  std::uint64_t roll_back() {
    const auto number = agent_->rollback("gateway");
    EXPECT_TRUE(number) << number.error().sentence();
    return number.value_or(0);
  }
  Error rollback_error() {
    const auto number = agent_->rollback("gateway");
    EXPECT_FALSE(number);
    return number ? Error() : number.error();
  }
  [[nodiscard]] std::string current() const { return fs::read_symlink(directory() / "current"); }
};

TEST_F(OldGenerations, StayForSevenDays) {
  renew();
  const std::string old = key_of(1);
  EXPECT_THAT(retire(), IsEmpty());
  clock_.advance(days(7) - minutes(1));
  EXPECT_THAT(retire(), IsEmpty());
  EXPECT_EQ(hardware_.count(Operation::destroy_key), 0U);
  clock_.advance(minutes(1));
  EXPECT_THAT(retire(), ElementsAre(1));
  EXPECT_EQ(generations(), std::set<std::string>{"2"});
  EXPECT_FALSE(is_in_token(old));
  EXPECT_EQ(hardware_.made_keys(), 1U);
  EXPECT_THAT(retire(), IsEmpty());
  expect_usable_current();
}

TEST_F(OldGenerations, StayAsLongAsTheProfileSays) {
  profile("keep_old = \"30d\"\n");
  renew();
  clock_.advance(days(29));
  EXPECT_THAT(retire(), IsEmpty());
  profile("keep_old = \"1h\"\n");
  EXPECT_THAT(retire(), ElementsAre(1)) << "a changed profile counts at once";
}

TEST_F(OldGenerations, GoWhenTheyExpireAtTheLatest) {
  start_server(hours(10));
  profile();
  renew();
  start_server(days(90));
  profile();
  renew();
  EXPECT_THAT(retire(), IsEmpty());
  clock_.advance(hours(11));
  EXPECT_THAT(retire(), ElementsAre(2)) << "generation 1 is still valid";
}

TEST_F(OldGenerations, AreNotLookedAtAgainBeforeOneIsDue) {
  renew();
  EXPECT_THAT(retire(), IsEmpty());
  identity::Record record = identity::read_record(directory() / "state.json").value().value();
  EXPECT_EQ(record.old_since, clock_.now());
  record.old_since = clock_.now() + days(30);
  ASSERT_TRUE(identity::write_record(directory() / "state.json", record));
  load();
  clock_.advance(days(8));
  EXPECT_THAT(retire(), IsEmpty()) << "state.json says since when the first is old";
}

TEST_F(OldGenerations, KeepTheirKeyWhereTheCurrentOneHasIt) {
  profile("rekey = \"never\"\n");
  renew();
  renew();
  clock_.advance(days(8));
  EXPECT_THAT(retire(), ElementsAre(1, 2));
  EXPECT_EQ(hardware_.made_keys(), 1U);
  expect_usable_current();
}

TEST_F(OldGenerations, ThatAreDamagedStay) {
  renew();
  fs::resize_file(directory() / "generation/1/certificate.pem", 10);
  clock_.advance(days(8));
  EXPECT_THAT(retire(), IsEmpty());
  EXPECT_EQ(generations().size(), 2U);
  EXPECT_EQ(hardware_.made_keys(), 2U);
}

TEST_F(OldGenerations, AreRememberedWhereTheTokenCannotDestroyTheirKeyNow) {
  renew();
  clock_.advance(days(8));
  hardware_.fail_all({.code = Errc::token_unreachable, .retry = Retry::later, .what = "the token is away"});
  EXPECT_THAT(retire(), ElementsAre(1));
  hardware_.recover();
  EXPECT_EQ(hardware_.made_keys(), 2U);
  load();
  renew();
  EXPECT_EQ(hardware_.made_keys(), 2U) << "the job has destroyed the old one, and made another";
}

TEST_F(OldGenerations, AreLeftAloneWhileTheClockIsWrong) {
  renew();
  clock_.set(Time(days(1)));
  EXPECT_THAT(retire(), IsEmpty());
}

TEST_F(OldGenerations, AreThereToGoBackTo) {
  const auto first = current_files();
  clock_.advance(hours(1));
  renew();
  EXPECT_EQ(roll_back(), 1U);
  EXPECT_EQ(current(), "generation/1");
  EXPECT_EQ(current_files(), first);
  EXPECT_EQ(status().generation, 1U);
  EXPECT_EQ(status().state, State::valid);
  expect_usable_current();
  load();
  EXPECT_EQ(status().generation, 1U) << "the next start does not undo it";
  EXPECT_EQ(generations().size(), 2U);
  EXPECT_EQ(hardware_.made_keys(), 2U);
}

TEST_F(OldGenerations, ThatAreCurrentAgainAreRenewedAfterHalfOfWhatIsLeft) {
  clock_.advance(days(70));
  renew();
  roll_back();
  const auto next = *status().next_attempt;
  EXPECT_GT(next, clock_.now() + days(9));
  EXPECT_LT(next, clock_.now() + days(11));
  load();
  EXPECT_EQ(*status().next_attempt, next);
  renew();
  EXPECT_EQ(status().generation, 3U) << "no number is given twice";
}

TEST_F(OldGenerations, StayForTheirGraceWhereItWasRolledBackFromThem) {
  renew();
  clock_.advance(days(6));
  roll_back();
  clock_.advance(days(6));
  EXPECT_THAT(retire(), IsEmpty());
  load();
  clock_.advance(days(1));
  EXPECT_THAT(retire(), ElementsAre(2));
  EXPECT_EQ(status().generation, 1U);
  expect_usable_current();
}

TEST_F(OldGenerations, CanBeGoneBackToOneAfterTheOther) {
  renew();
  renew();
  EXPECT_EQ(roll_back(), 2U);
  EXPECT_EQ(roll_back(), 1U);
  const Error error = rollback_error();
  EXPECT_EQ(error.code, Errc::wrong_state);
  EXPECT_THAT(error.sentence(), HasSubstr("there is no previous generation"));
  EXPECT_THAT(error.hint, HasSubstr("renewal.keep_old"));
  load();
  EXPECT_EQ(generations().size(), 3U);
  clock_.advance(days(8));
  EXPECT_THAT(retire(), ElementsAre(2, 3));
}

TEST_F(OldGenerations, AreNotGoneBackToAfterTheirTime) {
  start_server(hours(1));
  profile();
  renew();
  start_server(days(90));
  profile();
  renew();
  clock_.advance(hours(2));
  const Error error = rollback_error();
  EXPECT_EQ(error.code, Errc::wrong_state);
  EXPECT_THAT(error.sentence(), HasSubstr("has expired on"));
  EXPECT_EQ(status().generation, 3U);
}

TEST_F(OldGenerations, AreNotGoneBackToWithoutTheirKey) {
  renew();
  ASSERT_TRUE(FakeToken(hardware_, "tpm").destroy_key(key_of(1)));
  EXPECT_EQ(rollback_error().code, Errc::wrong_state);
  hardware_.fail_all({.code = Errc::token_unreachable, .retry = Retry::later, .what = "the token is away"});
  EXPECT_EQ(rollback_error().code, Errc::token_unreachable);
  EXPECT_EQ(status().generation, 2U);
  EXPECT_EQ(current(), "generation/2");
}

TEST_F(OldGenerations, OfTheSameCertificateAreNoPreviousOne) {
  renew();
  // As a look at the CA does where its anchors have changed.
  fs::copy(directory() / "generation/2", directory() / "generation/3", fs::copy_options::recursive);
  fs::remove(directory() / "current");
  fs::create_symlink("generation/3", directory() / "current");
  load();
  EXPECT_EQ(roll_back(), 1U);
}

TEST_F(OldGenerations, ThatWereRolledBackFromAreTheLastResortOfADamagedDisk) {
  renew();
  renew();
  EXPECT_EQ(roll_back(), 2U);
  fs::remove(directory() / "current");
  load();
  EXPECT_EQ(status().generation, 2U);
  fs::remove(directory() / "current");
  fs::resize_file(directory() / "generation/2/certificate.pem", 10);
  load();
  EXPECT_EQ(status().generation, 1U);
}

TEST_F(OldGenerations, WithoutACredentialThereIsNothingToGoBackTo) {
  agent_.reset();
  fs::remove_all(directory());
  load();
  EXPECT_EQ(rollback_error().code, Errc::wrong_state);
  const auto unknown = agent_->rollback("nobody");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Errc::no_such_identity);
}

class AnIdentityThatIsForgotten : public OldGenerations {
 protected:
  /// Generations, one of them damaged, a request that waits, and a key that could not be destroyed.
  void fill() {
    renew();
    renew();
    fs::resize_file(directory() / "generation/2/certificate.pem", 10);
    server_->misbehave(EstOperation::simplereenroll, misbehaviour("status-202"), 1);
    ASSERT_TRUE(run(JobKind::renew));
    agent_.reset();
    FakeToken token(hardware_, "tpm");
    identity::AbandonedKeys(directory() / "abandoned-keys.json")
        .add({.token = "tpm", .token_key_pem = (*token.create_key({}))->pem()});
    load();
    ASSERT_EQ(hardware_.made_keys(), 5U);
  }
};

TEST_F(AnIdentityThatIsForgotten, LeavesNoKeyAndNoFile) {
  fill();
  const auto forgotten = agent_->forget("gateway");
  ASSERT_TRUE(forgotten) << forgotten.error().sentence();
  EXPECT_EQ(forgotten->keys_destroyed, 5U);
  EXPECT_EQ(forgotten->keys_left, 0U);
  EXPECT_EQ(hardware_.made_keys(), 0U);
  EXPECT_EQ(hardware_.factory_keys(), 1U) << "the IDevID is not devid's";
  EXPECT_TRUE(fs::is_empty(directory()));
  EXPECT_EQ(status().state, State::unenrolled);
  EXPECT_LE(*status().next_attempt, clock_.now());
  enroll();
  EXPECT_EQ(status().generation, 1U);
  load();
  expect_usable_current();
}

TEST_F(AnIdentityThatIsForgotten, KeepsAListOfWhatCannotBeDestroyed) {
  fill();
  hardware_.fail_all({.code = Errc::token_unreachable, .retry = Retry::later, .what = "the token is away"});
  const auto forgotten = agent_->forget("gateway");
  ASSERT_TRUE(forgotten) << forgotten.error().sentence();
  EXPECT_EQ(forgotten->keys_destroyed, 0U);
  EXPECT_EQ(forgotten->keys_left, 5U);
  EXPECT_EQ(status().state, State::unenrolled);
  hardware_.recover();
  load();
  enroll();
  EXPECT_EQ(hardware_.made_keys(), 1U) << "the next job has destroyed the others";
}

TEST_F(AnIdentityThatIsForgotten, MayHaveNoProfileAnyMore) {
  fill();
  fs::remove(etc() / "identities.d/gateway.toml");
  load();
  EXPECT_TRUE(agent_->status().empty());
  ASSERT_TRUE(agent_->forget("gateway"));
  EXPECT_EQ(hardware_.made_keys(), 0U);
  EXPECT_FALSE(fs::exists(directory()));
  const auto again = agent_->forget("gateway");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::no_such_identity);
}

TEST_F(AnIdentityThatIsForgotten, IsNamedAndNothingElse) {
  for (const std::string name : {"nobody", "../var", "..", "", ".revocation", "gateway/generation"}) {
    SCOPED_TRACE(name);
    const auto result = agent_->forget(name);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::no_such_identity);
  }
  EXPECT_EQ(status().generation, 1U);
}

}  // namespace
}  // namespace devid::test
