#include "dbus/ctl/job_watch.h"

#include <algorithm>
#include <utility>

namespace devid::ctl {
namespace {

using Pair = sdbus::Struct<std::string, std::string>;

}  // namespace

JobWatch::JobWatch(Client& client, OnPhase on_phase) : client_(client), on_phase_(std::move(on_phase)) {
  auto& bus = client_.connection();
  matches_.push_back(bus.addMatch(
      "type='signal',sender='org.devid1',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',"
      "arg0='org.devid1.Job'",
      [this](sdbus::Message& message) {
        std::string interface;
        Properties changed;
        message >> interface >> changed;
        on_job_changed(message.getPath(), changed);
      }));
  matches_.push_back(bus.addMatch("type='signal',sender='org.devid1',interface='org.devid1.Manager',member='JobNew'",
                                  [this](sdbus::Message& message) {
                                    sdbus::ObjectPath job;
                                    sdbus::ObjectPath identity;
                                    message >> job >> identity;
                                    seen_[job].identity = identity;
                                  }));
  matches_.push_back(
      bus.addMatch("type='signal',sender='org.devid1',interface='org.devid1.Manager',member='JobRemoved'",
                   [this](sdbus::Message& message) {
                     sdbus::ObjectPath job;
                     sdbus::ObjectPath identity;
                     std::string result;
                     message >> job >> identity >> result;
                     auto& outcome = seen_[job];
                     outcome.identity = identity;
                     outcome.result = result;
                     stop_if_all_ended();
                   }));
  matches_.push_back(bus.addMatch(
      "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',"
      "arg0='org.devid1'",
      [this](sdbus::Message& message) {
        std::string name;
        std::string old_owner;
        std::string new_owner;
        message >> name >> old_owner >> new_owner;
        // An earlier devidd, that had nothing to do, may have left just before the jobs were started.
        if (old_owner.empty() || old_owner != owner_) return;
        lost_ = true;
        loop_.quit();
      }));
}

void JobWatch::on_job_changed(const std::string& path, const Properties& changed) {
  if (const std::string phase = text(changed, "Phase"); !phase.empty()) on_phase_(seen_[path].identity, phase);
  const auto error = changed.find("Error");
  if (error == changed.end() || !error->second.containsValueOfType<Pair>()) return;
  const auto pair = error->second.get<Pair>();
  seen_[path].code = pair.get<0>();
  seen_[path].text = pair.get<1>();
}

void JobWatch::stop_if_all_ended() {
  const bool all = std::ranges::all_of(waiting_, [this](const std::string& job) {
    const auto found = seen_.find(job);
    return found != seen_.end() && !found->second.result.empty();
  });
  if (all) loop_.quit();
}

Result<std::vector<JobOutcome>> JobWatch::wait_for(const std::vector<sdbus::ObjectPath>& jobs) {
  waiting_ = {jobs.begin(), jobs.end()};
  if (waiting_.empty()) return {};
  if (auto owner = client_.owner()) {
    owner_ = *std::move(owner);
  } else {
    lost_ = true;
  }
  const auto end = lost_ ? EventLoop::End::disconnected : loop_.run(client_.connection());
  if (lost_ || end == EventLoop::End::disconnected) {
    return fail({.code = Errc::internal,
                 .retry = Retry::later,
                 .what = "devidd went away before the job ended",
                 .hint = "look at: journalctl -u devidd.service; what was valid stays valid"});
  }
  if (end == EventLoop::End::signal)
    return fail({.code = Errc::cancelled, .what = "no longer waiting", .hint = "the job goes on: devidctl status"});
  std::vector<JobOutcome> outcomes;  // NOLINT(misc-const-correctness): it is filled below
  outcomes.reserve(waiting_.size());
  for (const auto& job : waiting_) outcomes.push_back(seen_[job]);
  return outcomes;
}

}  // namespace devid::ctl
