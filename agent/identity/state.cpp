#include "agent/identity/state.h"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "base/file.h"

namespace devid::identity {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t version = 1;
constexpr std::size_t size_limit = 64UL * 1024;
constexpr std::size_t text_limit = 2000;
constexpr std::size_t message_limit = 500;  // of each consumer
constexpr std::size_t most_consumers = 64;
constexpr std::int64_t latest_time = 253402300799;  // 9999-12-31 23:59:59, RFC 5280 4.1.2.5
constexpr mode_t file_mode = 0644;

Json error_to_json(const Error& error) {
  return {{"code", code_name(error.code)},
          {"retry", retry_name(error.retry)},
          {"what", printable(error.what, text_limit)},
          {"reason", printable(error.reason, text_limit)},
          {"hint", printable(error.hint, text_limit)}};
}

std::optional<Errc> code_from_name(std::string_view name) {
  const auto& codes = all_error_codes();
  const auto found = std::ranges::find(codes, name, code_name);
  return found == codes.end() ? std::nullopt : std::optional(*found);
}

std::optional<JobKind> method_from_name(std::string_view name) {
  for (const JobKind kind : {JobKind::enroll, JobKind::renew})
    if (job_kind_name(kind) == name) return kind;
  return std::nullopt;
}

std::optional<Retry> retry_from_name(std::string_view name) {
  constexpr std::array all{Retry::never, Retry::later, Retry::after_operator};
  const auto* const found = std::ranges::find(all, name, retry_name);
  return found == all.end() ? std::nullopt : std::optional(*found);
}

/// Takes members out of a JSON object, and remembers the first one that is not as it should be.
class Reader {
 public:
  explicit Reader(const Json& object) : object_(object) {}

  /// A number from 0 to `most`; 0 if there is none.
  std::uint64_t number(const char* key, std::uint64_t most) {
    const auto member = object_.find(key);
    if (member == object_.end()) return 0;
    if (member->is_number_unsigned() && member->get<std::uint64_t>() <= most) return member->get<std::uint64_t>();
    complain(key);
    return 0;
  }

  std::optional<Time> time(const char* key) {
    if (!object_.contains(key)) return std::nullopt;
    return Time(Seconds(static_cast<std::int64_t>(number(key, latest_time))));
  }

  /// False if it is not there.
  bool flag(const char* key) {
    const auto member = object_.find(key);
    if (member == object_.end()) return false;
    if (!member->is_boolean()) complain(key);
    return member->is_boolean() && member->get<bool>();
  }

  /// A text that must be there.
  std::string text(const char* key) {
    const auto member = object_.find(key);
    if (member != object_.end() && member->is_string()) return member->get<std::string>();
    complain(key);
    return {};
  }

  void complain(std::string_view key) {
    if (complaint_.empty()) complaint_ = std::string("the value of '").append(key).append("' is wrong");
  }

  [[nodiscard]] const std::string& complaint() const { return complaint_; }

 private:
  const Json& object_;
  std::string complaint_;
};

Error corrupt(std::string reason) {
  return {.code = Errc::state_corrupt,
          .retry = Retry::later,
          .what = "cannot use the recorded state",
          .reason = std::move(reason),
          .hint = "nothing to do: only the count of attempts and the time of the next one are lost"};
}

Result<Error> parse_error(const Json& json) {
  if (!json.is_object()) return fail(corrupt("the value of 'last_error' is wrong"));
  Reader reader(json);
  const auto code = code_from_name(reader.text("code"));
  const auto retry = retry_from_name(reader.text("retry"));
  Error error{.what = reader.text("what"), .reason = reader.text("reason"), .hint = reader.text("hint")};
  if (!code || !retry) reader.complain("last_error");
  if (!code || !retry || !reader.complaint().empty()) return fail(corrupt(reader.complaint()));
  error.code = *code;
  error.retry = *retry;
  return error;
}

/// "reload nginx.service". What this devid does not know is passed over: it is of a newer one.
std::optional<UnitAction> action_from_text(std::string_view text) {
  const std::size_t blank = text.find(' ');
  if (blank == std::string_view::npos) return std::nullopt;
  const auto verb = unit_verb_from_name(text.substr(0, blank));
  const std::string_view unit = text.substr(blank + 1);
  return verb && is_unit_name(unit) ? std::optional(UnitAction{.verb = *verb, .unit = std::string(unit)})
                                    : std::nullopt;
}

Result<std::vector<Told>> parse_consumers(const Json& json) {
  if (!json.is_array() || json.size() > most_consumers) return fail(corrupt("the value of 'consumers' is wrong"));
  std::vector<Told> all;
  for (const Json& member : json) {
    if (!member.is_object()) return fail(corrupt("the value of 'consumers' is wrong"));
    Reader reader(member);
    const auto action = action_from_text(reader.text("action"));
    const std::string state = reader.text("state");
    Told told{
        .attempts = static_cast<std::uint32_t>(reader.number("attempts", std::numeric_limits<std::uint32_t>::max())),
        .next_attempt = reader.time("next_attempt"),
        .message = member.contains("message") ? reader.text("message") : std::string()};
    if (!reader.complaint().empty()) return fail(corrupt(reader.complaint()));
    if (!action) continue;
    told.action = *action;
    if (state == told_state_name(Told::State::done)) told.state = Told::State::done;
    if (state == told_state_name(Told::State::failed)) told.state = Told::State::failed;
    all.push_back(std::move(told));
  }
  return all;
}

void put(Json& json, const char* key, std::optional<Time> time) {
  if (time) json[key] = std::clamp<std::int64_t>(time->time_since_epoch().count(), 0, latest_time);
}

Json consumer_to_json(const Told& told) {
  Json json{{"action", to_text(told.action)}, {"state", told_state_name(told.state)}, {"attempts", told.attempts}};
  put(json, "next_attempt", told.next_attempt);
  if (!told.message.empty()) json["message"] = printable(told.message, message_limit);
  return json;
}

}  // namespace

std::string to_json(const Record& record) {
  Json json{{"version", version},
            {"generation", record.generation},
            {"attempts", record.attempts},
            {"polls", record.polls},
            {"unanswered", record.unanswered}};
  if (record.method) json["method"] = job_kind_name(*record.method);
  put(json, "last_attempt", record.last_attempt);
  put(json, "last_success", record.last_success);
  put(json, "next_attempt", record.next_attempt);
  put(json, "next_refresh", record.next_refresh);
  put(json, "old_since", record.old_since);
  put(json, "old_until", record.old_until);
  if (record.revoked) json["revoked"] = true;
  if (record.warned) json["warned"] = *record.warned;
  if (!record.begin_at.empty()) json["begin_at"] = record.begin_at;
  put(json, "pending_since", record.pending_since);
  if (record.last_error) json["last_error"] = error_to_json(*record.last_error);
  for (const Told& told : record.consumers) json["consumers"].push_back(consumer_to_json(told));
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Record> parse_record(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return fail(corrupt("it is not JSON, or is cut short"));
  if (!json.is_object()) return fail(corrupt("it is not a JSON object"));
  Reader reader(json);
  constexpr std::uint64_t any = std::numeric_limits<std::uint64_t>::max();
  constexpr std::uint64_t any32 = std::numeric_limits<std::uint32_t>::max();
  if (const auto found = reader.number("version", any); found != version)
    return fail(corrupt("its version is " + std::to_string(found) + ", this devid knows version 1"));
  Record record{.generation = reader.number("generation", any),
                .attempts = static_cast<std::uint32_t>(reader.number("attempts", any32)),
                .polls = static_cast<std::uint32_t>(reader.number("polls", any32)),
                .unanswered = static_cast<std::uint32_t>(reader.number("unanswered", any32)),
                .last_attempt = reader.time("last_attempt"),
                .last_success = reader.time("last_success"),
                .next_attempt = reader.time("next_attempt"),
                .next_refresh = reader.time("next_refresh"),
                .old_since = reader.time("old_since"),
                .old_until = reader.time("old_until"),
                .revoked = reader.flag("revoked"),
                .begin_at = json.contains("begin_at") ? reader.text("begin_at") : std::string(),
                .pending_since = reader.time("pending_since")};
  if (json.contains("warned")) record.warned = static_cast<std::uint32_t>(reader.number("warned", 100));
  if (json.contains("method")) {
    record.method = method_from_name(reader.text("method"));
    if (!record.method) reader.complain("method");
  }
  if (!reader.complaint().empty()) return fail(corrupt(reader.complaint()));
  if (const auto member = json.find("last_error"); member != json.end()) {
    auto error = parse_error(*member);
    if (!error) return fail(std::move(error.error()));
    record.last_error = std::move(*error);
  }
  if (const auto member = json.find("consumers"); member != json.end()) {
    auto consumers = parse_consumers(*member);
    if (!consumers) return fail(std::move(consumers.error()));
    record.consumers = std::move(*consumers);
  }
  return record;
}

Result<std::optional<Record>> read_record(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(std::filesystem::symlink_status(path, ignored))) return std::nullopt;
  auto text = read_file(path, size_limit, Errc::state_corrupt);
  if (!text) return fail(std::move(text.error()));
  auto record = parse_record(*text);
  if (!record) {
    record.error().what = "cannot use " + path.string();
    return fail(std::move(record.error()));
  }
  return std::move(*record);
}

Result<> write_record(const std::filesystem::path& path, const Record& record) {
  return write_file_atomically(path, to_json(record), file_mode);
}

}  // namespace devid::identity
