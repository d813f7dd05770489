#include "agent/agent.h"

#include <gmock/gmock.h>

#include <fstream>

#include "tests/agent/identity/site.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;
using identity::State;
using testing::HasSubstr;
using testing::StartsWith;

class AnAgent : public Site {
 protected:
  [[nodiscard]] fs::path profile_file(const std::string& name = "gateway") const {
    return etc() / "identities.d" / (name + ".toml");
  }
};

TEST_F(AnAgent, HasNoIdentitiesWithoutConfiguration) {
  fs::remove_all(etc());
  load();
  EXPECT_TRUE(agent_->status().empty());
  EXPECT_TRUE(agent_->configuration_errors().empty());
  EXPECT_EQ(agent_->tokens().size(), 1U);
}

TEST_F(AnAgent, TouchesNoHardwareBeforeAJob) {
  EXPECT_EQ(hardware_.operations(), 0U);
  EXPECT_FALSE(agent_->status().empty());
  EXPECT_TRUE(agent_->reload());
  EXPECT_EQ(hardware_.operations(), 0U);
}

TEST_F(AnAgent, KnowsNoOtherIdentities) {
  const auto result = agent_->run("nobody", JobKind::enroll, {}, observer_);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::no_such_identity);
}

TEST_F(AnAgent, ListsItsIdentitiesByName) {
  write_profile("", "zebra");
  write_profile("", "ant");
  load();
  std::vector<std::string> names;
  for (const auto& status : agent_->status()) names.push_back(status.name);
  EXPECT_THAT(names, testing::ElementsAre("ant", "gateway", "zebra"));
}

TEST_F(AnAgent, BlocksAnIdentityWhoseProfileIsWrongAndShowsItsCredential) {
  enroll();
  write_profile("[renewal]\nrenew_at = \"never\"\n");
  load();
  const auto shown = status();
  EXPECT_EQ(shown.state, State::blocked);
  EXPECT_THAT(shown.reason, HasSubstr("gateway.toml:10:12: renewal.renew_at cannot be 'never'"));
  EXPECT_EQ(shown.generation, 1U);
  EXPECT_EQ(shown.subject, "serialNumber=SN-17");
  ASSERT_TRUE(shown.last_error);
  EXPECT_EQ(shown.last_error->code, Errc::config_invalid);
  ASSERT_EQ(agent_->configuration_errors().size(), 1U);
  EXPECT_THAT(agent_->configuration_errors()[0].sentence(), StartsWith(profile_file().string() + ":10:12: "));
  const auto result = run(JobKind::renew);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::config_invalid);
}

TEST_F(AnAgent, BlocksAllIdentitiesWhereItsOwnConfigurationIsWrong) {
  enroll();
  write_file(etc() / "devid.toml", "[tpm]\ntcti = 1\n");
  load();
  EXPECT_EQ(status().state, State::blocked);
  EXPECT_EQ(status().generation, 1U);
  EXPECT_TRUE(agent_->tokens().empty());
  EXPECT_EQ(agent_->configuration_errors().size(), 1U);
  EXPECT_EQ(run(JobKind::renew).error().code, Errc::config_invalid);
  write_file(etc() / "devid.toml", "");
  ASSERT_TRUE(agent_->reload());
  EXPECT_TRUE(agent_->configuration_errors().empty());
  EXPECT_EQ(status().state, State::valid);
  renew();
}

TEST_F(AnAgent, TellsOfAProfileWithoutAName) {
  write_file(etc() / "identities.d/No Name.toml", "");
  load();
  EXPECT_EQ(agent_->status().size(), 1U);
  EXPECT_EQ(agent_->configuration_errors().size(), 1U);
}

TEST_F(AnAgent, ReloadsWhatHasChanged) {
  enroll();
  write_profile("", "second");
  fs::remove(profile_file());
  ASSERT_TRUE(agent_->reload());
  ASSERT_EQ(agent_->status().size(), 1U);
  EXPECT_EQ(status("second").state, State::unenrolled);
  write_profile("[renewal]\nrenew_at = \"1/1000\"\n");
  ASSERT_TRUE(agent_->reload());
  EXPECT_EQ(status().generation, 1U) << "what was on disk is still there";
  EXPECT_LT(*status().next_attempt, clock_.now() + Seconds(100));
}

TEST_F(AnAgent, ChangesNothingWhereTheNewConfigurationIsWrong) {
  enroll();
  const auto before = status();
  write_profile("[kye]\n");
  write_profile("", "second");
  const auto reloaded = agent_->reload();
  ASSERT_FALSE(reloaded);
  EXPECT_THAT(reloaded.error().sentence(), StartsWith(profile_file().string() + ":9:2: unknown key 'kye'"));
  EXPECT_EQ(agent_->configuration_errors().size(), 1U);
  ASSERT_EQ(agent_->status().size(), 1U);
  EXPECT_EQ(status().reason, before.reason);
  renew();
}

TEST_F(AnAgent, IsAnErrorWhereTheStateCannotBeKept) {
  write_file(directory_.path() / "file", "");
  const auto agent = Agent::load(
      {.configuration = etc(), .vendor_configuration = {}, .state = directory_.path() / "file"},
      [](const Configuration&) { return Tokens(); }, clock_);
  ASSERT_FALSE(agent);
  EXPECT_EQ(agent.error().code, Errc::storage_failed);
}

TEST_F(AnAgent, BlocksOnlyTheIdentityWhoseDirectoryCannotBeUsed) {
  write_profile("", "second");
  fs::remove_all(directory());
  write_file(directory(), "in the way");
  load();
  EXPECT_EQ(status().state, State::blocked);
  EXPECT_EQ(status("second").state, State::unenrolled);
  const auto result = run(JobKind::enroll);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::storage_failed);
  fs::remove(directory());
  enroll();
  EXPECT_EQ(status().state, State::valid);
}

class ARestart : public AnAgent {
 protected:
  [[nodiscard]] fs::path record() const { return directory() / "state.json"; }
};

TEST_F(ARestart, ChangesNothing) {
  enroll();
  const auto before = status();
  load();
  const auto after = status();
  EXPECT_EQ(after.state, before.state);
  EXPECT_EQ(after.reason, before.reason);
  EXPECT_EQ(after.generation, before.generation);
  EXPECT_EQ(after.fingerprint, before.fingerprint);
  EXPECT_EQ(after.next_attempt, before.next_attempt);
  EXPECT_EQ(after.last_success, before.last_success);
  EXPECT_EQ(after.last_attempt, before.last_attempt);
}

TEST_F(ARestart, WithACorruptRecordGoesByTheGenerations) {
  enroll();
  const auto before = status();
  for (const std::string text : {"", "{", "not json", R"({"version": 99})"}) {
    std::ofstream(record()) << text;
    load();
    const auto after = status();
    EXPECT_EQ(after.state, State::valid);
    EXPECT_EQ(after.generation, 1U);
    EXPECT_EQ(after.next_attempt, before.next_attempt);
    EXPECT_EQ(after.last_success, before.last_success);
    ASSERT_TRUE(after.last_error);
    EXPECT_EQ(after.last_error->code, Errc::state_corrupt);
    EXPECT_THAT(after.last_error->sentence(), HasSubstr(record().string()));
  }
  renew();
  EXPECT_FALSE(status().last_error);
}

TEST_F(ARestart, WithoutARecordGoesByTheGenerations) {
  enroll();
  const auto before = status();
  fs::remove(record());
  load();
  EXPECT_EQ(status().state, State::valid);
  EXPECT_EQ(status().next_attempt, before.next_attempt);
  EXPECT_FALSE(status().last_error);
}

TEST_F(ARestart, WithADanglingCurrentFallsBackAndGoesOn) {
  enroll();
  renew();
  fs::remove_all(directory() / "generation/2");
  load();
  EXPECT_EQ(status().generation, 1U);
  EXPECT_EQ(status().state, State::valid);
  renew();
  expect_usable_current();
}

TEST_F(ARestart, WithNothingButADanglingCurrentEnrollsAgain) {
  enroll();
  fs::remove_all(directory() / "generation/1");
  load();
  EXPECT_EQ(status().state, State::unenrolled);
  enroll();
  expect_usable_current();
}

/// devidd dies at the start of each phase: what is on disk then is what the next one finds.
class ADeathOfDevidd : public AnAgent {
 protected:
  std::vector<fs::path> deaths_during(JobKind kind) {
    std::vector<fs::path> deaths;
    observer_.at_phase = [&](Phase phase) {
      deaths.push_back(directory_.path() / ("dead-" + std::string(job_kind_name(kind)) + std::to_string(deaths.size()) +
                                            std::string(phase_name(phase))));
      fs::copy(state(), deaths.back(), fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    };
    const auto result = run(kind);
    EXPECT_TRUE(result) << result.error().sentence();
    observer_.at_phase = nullptr;
    return deaths;
  }

  void expect_recovery(const std::vector<fs::path>& deaths, JobKind kind, std::uint64_t generation, State state) {
    ASSERT_EQ(deaths.size(), 7U);
    for (const auto& death : deaths) {
      SCOPED_TRACE(death.filename());
      agent_ = load_from(death);
      const auto found = status();
      EXPECT_EQ(found.generation, generation);
      EXPECT_EQ(found.state, state) << found.reason;
      EXPECT_EQ(found.attempts, 1U) << "a job that kills devidd must not be tried without a wait";
      EXPECT_GE(*found.next_attempt, clock_.now() + Seconds(60));
      const auto result = run(kind);
      ASSERT_TRUE(result) << result.error().sentence();
      EXPECT_EQ(status().generation, generation + 1);
      EXPECT_EQ(status().state, State::valid);
    }
  }
};

TEST_F(ADeathOfDevidd, InAnEnrollmentIsMadeGoodByTheNextOne) {
  expect_recovery(deaths_during(JobKind::enroll), JobKind::enroll, 0, State::unenrolled);
}

TEST_F(ADeathOfDevidd, InARenewalIsMadeGoodByTheNextOne) {
  enroll();
  expect_recovery(deaths_during(JobKind::renew), JobKind::renew, 1, State::degraded);
}

TEST_F(ADeathOfDevidd, AfterTheRequestWasSentPresentsTheSameRequestAgain) {
  const auto deaths = deaths_during(JobKind::enroll);
  server_->forget();
  const unsigned made = hardware_.count(Operation::create_key);
  agent_ = load_from(deaths.back());
  const auto result = run(JobKind::enroll);
  ASSERT_TRUE(result) << result.error().sentence();
  EXPECT_EQ(hardware_.count(Operation::create_key), made) << "no second key for one generation";
}

TEST_F(ADeathOfDevidd, BetweenTheNewCredentialAndItsRecordIsNotTakenForAFailure) {
  enroll();
  fs::path old_record;
  observer_.at_phase = [&](Phase phase) {
    if (phase != Phase::installing) return;
    old_record = directory_.path() / "old.json";
    fs::copy_file(directory() / "state.json", old_record);
  };
  renew();
  fs::copy_file(old_record, directory() / "state.json", fs::copy_options::overwrite_existing);
  load();
  EXPECT_EQ(status().generation, 2U);
  EXPECT_EQ(status().state, State::valid);
  EXPECT_EQ(status().attempts, 0U);
}

}  // namespace
}  // namespace devid::test
