#include "agent/identity/identity.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/identity/clean_up.h"
#include "agent/identity/disposal.h"
#include "agent/identity/explanation.h"
#include "agent/identity/proof.h"
#include "agent/identity/retirement.h"
#include "agent/identity/rollback.h"
#include "agent/identity/server_ring.h"
#include "agent/pki/fingerprint.h"

namespace devid::identity {
Identity::Identity(std::string name, Result<Profile> profile, std::filesystem::path directory, const Clock& clock)
    : name_(std::move(name)),
      profile_(std::move(profile)),
      directory_(std::move(directory)),
      known_since_(clock.now()),
      clock_floor_(clock.floor()) {
  if (auto read = read_disk(); !read) trouble_ = escaped(std::move(read.error()));
}

Result<> Identity::read_disk() {
  trouble_.reset();
  auto store = Store::open(directory_);
  if (!store) return fail(std::move(store.error()));
  store_ = std::make_unique<Store>(std::move(*store));
  abandoned_keys_ = std::make_unique<AbandonedKeys>(directory_ / "abandoned-keys.json");
  trust_ = std::make_unique<TrustStore>(trust_file(directory_));
  auto cleaned = store_->clean_up([this](const AbandonedKey& key) { abandoned_keys_->add(key); });
  if (!cleaned) return fail(std::move(cleaned.error()));
  if (auto spared = spare_keys_in_use(*store_, *abandoned_keys_); !spared) return spared;
  if (auto read = read_store(); !read) return read;
  read_recorded();
  if (cleaned->fell_back && !record_.last_error) record_.last_error = damaged();
  return {};
}

Result<> Identity::read_store() {
  auto generation = store_->current();
  if (!generation) return fail(std::move(generation.error()));
  auto request = store_->request();
  if (!request) return fail(std::move(request.error()));
  auto candidate = store_->candidate();
  if (!candidate) return fail(std::move(candidate.error()));
  generation_ = std::move(*generation);
  request_ = std::move(*request);
  rolled_back_.reset();
  const auto rolled_back = store_->rolled_back();
  if (!rolled_back) return fail(rolled_back.error());
  for (const auto& [number, at] : *rolled_back) rolled_back_ = std::max(at, rolled_back_.value_or(at));
  candidate_ = std::move(*candidate);
  return {};
}

/// What can be said without a record: nobody was told of this generation, as far as is known.
Record Identity::record_of_generation() const {
  if (!generation_) return {};
  return {.generation = generation_->number,
          .last_success = generation_->provenance.created,
          .consumers = profile_ ? nobody_told(profile_->after_rotation) : std::vector<Told>()};
}

std::optional<Notice> Identity::update_copies() {
  if (!profile_ || !generation_ || !store_) return std::nullopt;
  auto trouble =
      trouble_with_copies(store_->current_directory(), profile_->copies, profile_->files, directory_.parent_path());
  const bool is_new = trouble && trouble != copies_trouble_;
  copies_trouble_ = std::move(trouble);
  return is_new ? copies_trouble_ : std::nullopt;
}

void Identity::told(std::uint64_t generation, const UnitAction& action, const Result<>& outcome, Time now,
                    const Random& random) {
  if (generation != record_.generation) return;  // there is a newer one to tell of
  const RetryPolicy retry = profile_ ? profile_->retry : RetryPolicy();
  note_outcome(record_.consumers, action, outcome,
               [&](std::uint32_t failures) { return now + backoff(failures, retry, random); });
  // Where it cannot be written, the next devidd tells once more.
  static_cast<void>(write_record(directory_ / "state.json", record_));
}

void Identity::read_recorded() {
  auto read = read_record(directory_ / "state.json");
  record_ = record_of_generation();
  if (!read) {
    record_.last_error = escaped(std::move(read.error()));
  } else if (std::optional<Record>& recorded = *read; recorded && recorded->generation == record_.generation) {
    record_ = std::move(*recorded);
  }
  // Otherwise there is none, or it is of before a generation that was installed just when devidd was killed.
  drop_what_was_of_a_request();
}

/// What was recorded of a request that is no more.
void Identity::drop_what_was_of_a_request() {
  if (request_) return;
  record_.pending_since.reset();
  record_.unanswered = 0;
}

Situation Identity::situation() const {
  Situation situation{.record = record_, .running = running_, .clock_floor = clock_floor_, .known_since = known_since_};
  if (generation_) {
    situation.credential =
        Holding{.validity = {.not_before = generation_->leaf.not_before(), .not_after = generation_->leaf.not_after()},
                .since = rolled_back_ ? rolled_back_ : record_.last_success,
                .enrolled = generation_->provenance.method == JobKind::enroll,
                .share = share_of(generation_->leaf.fingerprint())};
  }
  if (request_) situation.request = request_->provenance.method;
  if (candidate_) situation.request = candidate_->provenance.method;
  situation.granted = candidate_.has_value();
  return situation;
}

Status Identity::status(Time now) const {
  Status status{.name = name_,
                .last_attempt = record_.last_attempt,
                .last_success = record_.last_success,
                .last_error = record_.last_error,
                .attempts = record_.attempts};
  if (generation_) describe(status, *generation_, store_->current_directory());
  Assessment assessment;
  if (!profile_) {
    assessment = assess_misconfigured(situation(), profile_.error(), now);
    status.last_error = escaped(profile_.error());
  } else {
    status.outlook = Outlook{.situation = situation(), .profile = *profile_};
    assessment = assess(status.outlook->situation, *profile_, now);
  }
  if (profile_ && trouble_ && !running_) {
    assessment.state = State::blocked;
    assessment.reason = trouble_->sentence() + "; looks again at the next run";
    status.last_error = trouble_;
  }
  status.pending_trust = pending_trust();
  if (profile_) status.consumers = still_wanted(record_.consumers, profile_->after_rotation);
  status.state = assessment.state;
  status.reason = std::move(assessment.reason);
  status.next_attempt = assessment.next_attempt;
  return status;
}

std::optional<std::string> Identity::warn_of_expiry(Time now) {
  if (!store_) return std::nullopt;
  // A profile that is wrong renews nothing, all the more reason to warn.
  const Profile profile = profile_ ? *profile_ : Profile();
  const auto percent = expiry_warning(situation(), profile, now);
  // More than was said before: the clock was ahead then.
  const bool said = record_.warned == percent;
  record_.warned = percent;
  if (said || !percent) return std::nullopt;
  // Where it cannot be written it is said once more by the next devidd.
  static_cast<void>(write_record(directory_ / "state.json", record_));
  return expiry_sentence(situation(), profile, now);
}

std::vector<ServerAnchor> Identity::pending_trust() const {
  if (!profile_ || !trust_) return {};
  return trust_->offered(profile_->server.endpoints);
}

Result<ServerAnchor> Identity::trust(const std::string& fingerprint, Time now) {
  const auto parsed = pki::parse_fingerprint(fingerprint);
  if (!parsed) return fail(parsed.error());
  if (!profile_) return fail(profile_.error());
  if (!trust_) return fail(trouble_.value_or(Error{}));
  const auto pending = pending_trust();
  const auto meant = std::ranges::find_if(
      pending, [&](const ServerAnchor& anchor) { return anchor.certificate.fingerprint() == *parsed; });
  const std::string& server = meant == pending.end() ? profile_->server.endpoints.front().base : meant->server;
  auto accepted = trust_->accept(*parsed, server, now);
  if (!accepted || !record_.last_error || record_.last_error->code != Errc::trust_missing) return accepted;
  // That was what the next attempt waited for.
  record_.next_attempt = now;
  if (auto written = write_record(directory_ / "state.json", record_); !written)
    return fail(std::move(written.error()));
  return accepted;
}

Result<std::vector<std::uint64_t>> Identity::retire(const Tokens& tokens, Time now) {
  if (!profile_ || !generation_ || trouble_) return std::vector<std::uint64_t>();
  const Seconds keep_old = profile_->renewal.keep_old;
  if (record_.old_since && record_.old_until && now < due(*record_.old_since, *record_.old_until, keep_old))
    return std::vector<std::uint64_t>();
  if (now < clock_floor(situation())) return std::vector<std::uint64_t>();
  auto retired = identity::retire(*store_, *abandoned_keys_, tokens, keep_old, now);
  if (!retired) return fail(std::move(retired.error()));
  record_.old_since = retired->since;
  record_.old_until = retired->until;
  // Where it cannot be written, the next devidd looks again.
  static_cast<void>(write_record(directory_ / "state.json", record_));
  return std::move(retired->generations);
}

Result<std::uint64_t> Identity::rollback(const Tokens& tokens, Time now) {
  if (trouble_ || !store_) return fail(trouble_.value_or(Error{}));
  if (!generation_) {
    return fail({.code = Errc::wrong_state,
                 .retry = Retry::never,
                 .what = "it has no credential",
                 .hint = fmt::format("devidctl enroll {}", name_)});
  }
  auto number = roll_back(*store_, tokens, *generation_, now);
  if (!number) return number;
  if (auto read = read_store(); !read) trouble_ = escaped(std::move(read.error()));
  const auto attempted = record_.last_attempt;
  record_ = record_of_generation();
  record_.last_attempt = attempted;
  // What was recorded of the other generation is dropped by the next devidd, if this cannot be written.
  static_cast<void>(write_record(directory_ / "state.json", record_));
  return number;
}

Result<Forgotten> Identity::forget(const Tokens& tokens) {
  auto forgotten = identity::forget(directory_, tokens);
  generation_.reset();
  request_.reset();
  candidate_.reset();
  record_ = {};
  if (auto read = read_disk(); !read) trouble_ = escaped(std::move(read.error()));
  return forgotten;
}

Result<Rotation> Identity::carry_out(JobKind kind, JobOptions options, const Workplace& place) {
  if (spare_keys_in_use(place.store, place.abandoned_keys)) place.abandoned_keys.destroy(place.tokens);
  const auto is_wanted = [&](const std::string& key, const Provenance& provenance) {
    const bool has_current_key = generation_ && key == generation_->token_key_pem;
    return fits(provenance, place.profile) && !options.force &&
           options.rekey.value_or(!has_current_key) != has_current_key;
  };
  if (candidate_) {
    if (is_wanted(candidate_->token_key_pem, candidate_->provenance)) {
      if (auto proven = prove_key(place, *candidate_); !proven) return fail(std::move(proven.error()));
      return prove_and_install(place, *candidate_);
    }
    if (auto abandoned = abandon(place, *candidate_); !abandoned) return fail(std::move(abandoned.error()));
    candidate_.reset();
  }
  if (request_) {
    // An enrollment is authenticated by the IDevID: it does not go on with a renewal.
    const bool other_method = kind == JobKind::enroll && request_->provenance.method == JobKind::renew;
    const bool usable =
        !other_method && std::holds_alternative<Poll>(step_forward(situation(), place.profile, place.clock.now()));
    if (usable && is_wanted(request_->token_key_pem, request_->provenance))
      return identity::resume(place, *request_, options.rekey);
    if (auto abandoned = abandon(place, *request_); !abandoned) return fail(std::move(abandoned.error()));
  }
  return identity::rotate(place, kind, options.rekey);
}

Result<Rotation> Identity::attempt(JobKind kind, JobOptions options, const Surroundings& surroundings,
                                   JobObserver& observer) {
  record_ = before_attempt(std::move(record_), kind, moment(surroundings));
  if (auto written = write_record(directory_ / "state.json", record_); !written)
    return fail(std::move(written.error()));
  running_ = kind;
  const bool begins_anew = kind == JobKind::enroll && options.force;
  auto rotation = carry_out(kind, options, workplace(surroundings, observer, begins_anew));
  running_.reset();
  return rotation;
}

Moment Identity::moment(const Surroundings& surroundings) const {
  const Time now = surroundings.clock.now();
  return {.profile = *profile_, .now = now, .left = time_left(situation(), now), .random = surroundings.random};
}

Workplace Identity::workplace(const Surroundings& surroundings, JobObserver& observer, bool begins_anew) {
  return {.profile = *profile_,
          .tokens = surroundings.tokens,
          .store = *store_,
          .clock = surroundings.clock,
          .observer = observer,
          .abandoned_keys = *abandoned_keys_,
          .trust = *trust_,
          .revocation_cache = surroundings.revocation_cache,
          .memory = memory_,
          .unanswered = record_.unanswered,
          .begins_anew = begins_anew,
          .begin_at = record_.begin_at,
          .traffic = traffic_,
          .idevid_certificates = surroundings.idevid_certificates,
          .idevid_memory = directory_ / "idevid.json"};
}

/// A look that fails changes nothing but the time of the next one; and, if the CA has revoked the certificate, the way
/// from here.
Result<Refreshed> Identity::look(const Surroundings& surroundings, JobObserver& observer) {
  const Record before = record_;
  // If this process dies of it, the next one does not begin with it.
  record_ = before_look(std::move(record_), moment(surroundings));
  if (auto written = write_record(directory_ / "state.json", record_); !written)
    return fail(std::move(written.error()));
  if (!generation_) return Refreshed{};
  running_ = JobKind::refresh;
  auto looked = identity::refresh(workplace(surroundings, observer), *generation_);
  running_.reset();
  if (auto read = read_store(); !read) trouble_ = escaped(std::move(read.error()));
  if (generation_ && record_.generation != generation_->number) {
    record_.generation = generation_->number;
    record_.consumers = record_of_generation().consumers;
    record_.old_since.reset();
  }
  record_ = after_look(std::move(record_), before, looked ? nullptr : &looked.error(), moment(surroundings));
  return looked;
}

/// Looks at the CA. A certificate that it has taken back is replaced at once, if the profile allows it.
Result<JobResult> Identity::refresh(const Surroundings& surroundings, JobObserver& observer) {
  auto looked = look(surroundings, observer);
  if (looked) record_.revoked = looked->revocation.has_value();
  const auto written = write_record(directory_ / "state.json", record_);
  // A credential whose key is gone is worth no more than one that was revoked: a renewal finds the way from here.
  if (!looked && key_is_lost(looked.error().code)) return rotate(JobKind::renew, {}, surroundings, observer);
  if (!looked) return fail(std::move(looked.error()));
  if (!written) return fail(written.error());
  std::optional<Error>& revocation = looked->revocation;
  if (!revocation) return JobResult::done;
  if (!profile_->renewal.enroll_again) return fail(std::move(*revocation));
  observer.noticed({.sentence = "enrolls anew with the IDevID: " + revocation->sentence(),
                    .fields = {{.name = "DEVID_ERROR", .value = std::string(code_name(revocation->code))}}});
  return rotate(JobKind::enroll, {}, surroundings, observer);
}

/// Each attempt begins at the top: a renewal, if there is what to renew; where that is refused, an enrollment with the
/// IDevID, in the same job and as one attempt.
Result<JobResult> Identity::rotate(JobKind kind, JobOptions options, const Surroundings& surroundings,
                                   JobObserver& observer) {
  const Record before = record_;
  auto rotation = attempt(kind, options, surroundings, observer);
  settle(rotation, before, surroundings);
  if (!rotation && goes_on_with_idevid(situation(), rotation.error(), kind, *profile_, surroundings.clock.now())) {
    observer.noticed(
        {.sentence = "enrolls with the IDevID, as the credential cannot be renewed: " + rotation.error().sentence(),
         .fields = {{.name = "DEVID_ERROR", .value = std::string(code_name(rotation.error().code))}}});
    record_.attempts = before.attempts;
    return rotate(JobKind::enroll, options, surroundings, observer);
  }
  if (!rotation) return fail(std::move(rotation.error()));
  return std::holds_alternative<Deferred>(*rotation) ? JobResult::pending : JobResult::done;
}

void Identity::choose_server(bool has_request) {
  if (!memory_.server.empty()) record_.begin_at = next_server(profile_->server.endpoints, memory_.server, has_request);
}

void Identity::settle(const Result<Rotation>& rotation, const Record& before, const Surroundings& surroundings) {
  if (auto read = read_store(); !read) trouble_ = escaped(std::move(read.error()));
  const Moment now = moment(surroundings);
  if (!rotation) {
    const bool is_awaited = record_.pending_since && request_;
    const bool elsewhere = !is_awaited && another_may_do_better(rotation.error().code);
    record_ = after_failure(std::move(record_), before, rotation.error(), now);
    if (elsewhere) choose_server(false);
  } else if (const auto* deferred = std::get_if<Deferred>(&*rotation)) {
    choose_server(deferred->accepted);
    record_ = while_pending(std::move(record_), before, deferred->retry_after, now);
  } else {
    record_ = after_success(record_, record_of_generation(), now);
  }
  drop_what_was_of_a_request();
  // What cannot be written is still known until devidd ends; and if the record on disk is too old then, it is dropped.
  if (auto written = write_record(directory_ / "state.json", record_); !written && !record_.last_error)
    record_.last_error = escaped(std::move(written.error()));
}

Result<JobResult> Identity::run(JobKind kind, JobOptions options, const Surroundings& surroundings,
                                JobObserver& observer) {
  const std::string doing = fmt::format("{} identity '{}'", job_kind_name(kind), name_);
  memory_ = {};
  if (!profile_) return fail(while_doing(doing, profile_.error()));
  if (trouble_) {
    if (auto read = read_disk(); !read) {
      trouble_ = escaped(read.error());
      return fail(while_doing(doing, std::move(read.error())));
    }
  }
  if (const auto& trouble = trust_->trouble())
    observer.noticed({.sentence = "trusts no more than the profile says: " + trouble->sentence(),
                      .fields = {{.name = "DEVID_ERROR", .value = std::string(code_name(trouble->code))}}});
  if (auto allowed = check_allowed(name_, situation(), *profile_, kind, options, surroundings.clock.now()); !allowed)
    return fail(std::move(allowed.error()));
  traffic_ = {};
  auto result =
      kind == JobKind::refresh ? refresh(surroundings, observer) : rotate(kind, options, surroundings, observer);
  observer.spent(traffic_);
  if (!result) return fail(while_doing(doing, std::move(result.error())));
  return result;
}

}  // namespace devid::identity
