#include "dbus/ctl/follow.h"

#include <algorithm>
#include <iostream>

#include "dbus/ctl/job_watch.h"
#include "dbus/ctl/json.h"

namespace devid::ctl {
namespace {

/// Which identity every job works for, for the lines that are printed.
class Names {
 public:
  explicit Names(Client& client) {
    if (auto all = client.identities())
      for (const auto& one : *all) by_path_.emplace(wire::identity_path(text(one, "Name")), text(one, "Name"));
  }
  [[nodiscard]] std::string of(const std::string& identity_path) const {
    const auto found = by_path_.find(identity_path);
    return found == by_path_.end() ? "job" : found->second;
  }

 private:
  std::map<std::string, std::string> by_path_;
};

Exit exit_of(const JobOutcome& outcome) {
  if (outcome.result == "done") return Exit::done;
  return outcome.result == "pending" ? Exit::pending : Exit::failed;
}

/// The worse of two: failed before pending before done.
Exit worse(Exit one, Exit other) {
  if (one == Exit::failed || other == Exit::failed) return Exit::failed;
  return one == Exit::pending || other == Exit::pending ? Exit::pending : Exit::done;
}

void print_outcome(Client& client, const std::string& name, const JobOutcome& outcome) {
  if (outcome.result == "done") {
    const auto identity = client.identity(name);
    std::cout << name << ": done";
    if (identity)
      std::cout << ", generation " << number(*identity, "Generation") << ", valid until "
                << moment(number(*identity, "NotAfter"));
    std::cout << '\n' << std::flush;
  } else if (outcome.result == "pending") {
    const auto identity = client.identity(name);
    std::cout << name << ": the CA needs time; next attempt "
              << (identity ? moment(number(*identity, "NextAttempt")) : std::string("later")) << '\n'
              << std::flush;
  } else {
    Error error = wire::from_dbus(sdbus::Error(std::string(wire::error_prefix) + outcome.code, outcome.text));
    error.what = name + ": " + error.what;
    complain(error);
  }
}

nlohmann::ordered_json json_of(const std::string& name, const JobOutcome& outcome) {
  nlohmann::ordered_json job{{"identity", name}, {"result", outcome.result}, {"error", nullptr}};
  if (!outcome.code.empty()) job["error"] = {{"code", outcome.code}, {"text", outcome.text}};
  return job;
}

}  // namespace

Exit follow(Client& client, Format format, const std::string& nothing,
            const std::function<Result<std::vector<sdbus::ObjectPath>>()>& start) {
  const Names names(client);
  JobWatch watch(client, [&names, format](const std::string& identity, const std::string& phase) {
    if (format == Format::text) std::cout << names.of(identity) << ": " << phase << '\n' << std::flush;
  });
  auto jobs = start();
  if (!jobs && jobs.error().code == Errc::cancelled) jobs = start();  // that devidd was leaving: the next one takes it
  if (!jobs) return complain(jobs.error());
  if (jobs->empty() && format == Format::text) std::cout << nothing << "\n";
  const auto outcomes = watch.wait_for(*jobs);
  if (!outcomes) return complain(outcomes.error());
  Exit exit = Exit::done;
  auto list = nlohmann::ordered_json::array();
  for (const auto& outcome : *outcomes) {
    const std::string name = names.of(outcome.identity);
    exit = worse(exit, exit_of(outcome));
    if (format == Format::json) {
      list.push_back(json_of(name, outcome));
    } else {
      print_outcome(client, name, outcome);
    }
  }
  if (format == Format::json) print({{"jobs", std::move(list)}});
  return exit;
}

Exit follow_one(Client& client, Format format, const JobRequest& request, const std::string& method) {
  wire::Dictionary options;
  if (request.force) options.emplace("force", sdbus::Variant(true));
  if (request.rekey) options.emplace("rekey", sdbus::Variant(*request.rekey));
  return follow(client, format, "", [&]() -> Result<std::vector<sdbus::ObjectPath>> {
    auto job = client.start(request.name, method, options);
    if (!job) return fail(std::move(job.error()));
    return std::vector{*std::move(job)};
  });
}

}  // namespace devid::ctl
