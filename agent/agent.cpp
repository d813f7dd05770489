#include "agent/agent.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <system_error>
#include <utility>

#include "agent/identity/configuration_files.h"
#include "agent/identity/configuration_parser.h"
#include "agent/identity/identity.h"
#include "agent/identity/token_uri.h"
#include "agent/pki/fingerprint.h"
#include "base/file.h"

namespace devid {

namespace {

/// How a profile wants its IDevID, and the token that it names for its own keys.
struct Wish {
  identity::IdevidLocation idevid;
  std::string profile_token;
  bool operator==(const Wish&) const = default;
};

}  // namespace

struct Agent::State {
  Paths paths;
  TokenFactory factory;
  const Clock& clock;
  identity::Random random;
  std::optional<Configuration> configuration;  ///< none if devid.toml is wrong
  Tokens tokens;
  std::map<std::string, identity::Identity, std::less<>> identities;
  std::vector<Error> configuration_errors;
  pki::RevocationCache revocation_cache;

  void adopt(Configuration changed);
  [[nodiscard]] const std::vector<std::filesystem::path>& idevid_certificates() const;
  [[nodiscard]] std::vector<Wish> wishes() const;
};

namespace {

using identity::ProfileFile;

identity::Random random_source() {
  return [engine = std::mt19937_64(std::random_device()()),
          share = std::uniform_real_distribution<double>()]() mutable { return share(engine); };
}

/// The tokens that profiles name by their URI join those of devid.toml.
Configuration with_tokens_of(Configuration configuration, const std::vector<ProfileFile>& files) {
  const auto add = [&](const std::string& name) {
    const bool known =
        std::ranges::find(configuration.pkcs11, name, &Pkcs11Configuration::name) != configuration.pkcs11.end();
    if (identity::is_token_uri(name) && !known) configuration.pkcs11.push_back({.name = name, .uri = name});
  };
  for (const auto& file : files) {
    if (!file.profile) continue;
    add(file.profile->token);
    add(file.profile->idevid.token);
  }
  return configuration;
}

/// Whether a token is the same in two configurations.
bool is_unchanged(const std::string& name, const Configuration& before, const Configuration& after) {
  const auto find = [&](const Configuration& configuration) {
    return std::ranges::find(configuration.pkcs11, name, &Pkcs11Configuration::name);
  };
  const auto old = find(before);
  const auto now = find(after);
  if (old == before.pkcs11.end() || now == after.pkcs11.end())
    return old == before.pkcs11.end() && now == after.pkcs11.end() && before.tpm == after.tpm;
  return *old == *now;
}

std::vector<Error> errors_of(const std::vector<ProfileFile>& files) {
  std::vector<Error> errors;
  for (const auto& file : files)
    if (!file.profile) errors.push_back(file.profile.error());
  return errors;
}

Error unknown(const std::string& name) {
  return {.code = Errc::no_such_identity,
          .retry = Retry::never,
          .what = fmt::format("there is no identity '{}'", name),
          .hint = "devidctl status lists them"};
}

Result<> check_state_directory(const std::filesystem::path& directory) {
  if (auto made = make_directories(directory, 0755); !made) return made;
  if (::access(directory.c_str(), R_OK | W_OK | X_OK) == 0) return {};
  return fail({.code = Errc::storage_failed,
               .retry = Retry::after_operator,
               .what = "cannot write to " + directory.string(),
               .reason = std::generic_category().message(errno),
               .hint = "it must belong to the user that devidd runs as"});
}

}  // namespace

/// A token whose configuration is what it was stays, with all that it knows of its hardware.
void Agent::State::adopt(Configuration changed) {
  if (configuration == changed) return;
  Tokens made = factory(changed);
  for (auto& [name, token] : made) {
    const auto old = tokens.find(name);
    if (old != tokens.end() && configuration && is_unchanged(name, *configuration, changed)) token.swap(old->second);
  }
  tokens = std::move(made);
  configuration = std::move(changed);
}

const std::vector<std::filesystem::path>& Agent::State::idevid_certificates() const {
  static const std::vector<std::filesystem::path> none;
  return configuration ? configuration->idevid_certificates : none;
}

/// Each different one; the default where there is no profile.
std::vector<Wish> Agent::State::wishes() const {
  std::vector<Wish> wishes;
  for (const auto& [name, identity] : identities) {
    const auto& profile = identity.profile();
    if (!profile) continue;
    Wish wish{.idevid = profile->idevid, .profile_token = profile->token};
    if (std::ranges::find(wishes, wish) == wishes.end()) wishes.push_back(std::move(wish));
  }
  if (wishes.empty()) wishes.push_back({.idevid = {}, .profile_token = "tpm"});
  return wishes;
}

Agent::Agent(std::unique_ptr<State> state) : state_(std::move(state)) {}
Agent::~Agent() = default;

Result<std::unique_ptr<Agent>> Agent::load(const Paths& paths, TokenFactory factory, const Clock& clock) {
  if (auto usable = check_state_directory(paths.state); !usable) return fail(std::move(usable.error()));
  std::unique_ptr<State> state(new State{.paths = paths,
                                         .factory = std::move(factory),
                                         .clock = clock,
                                         .random = random_source(),
                                         .revocation_cache = pki::RevocationCache(paths.state / ".revocation")});
  const auto configuration = identity::read_configuration(state->paths);
  if (!configuration) state->configuration_errors.push_back(configuration.error());
  auto files = identity::read_profiles(
      state->paths, configuration ? identity::token_names(*configuration) : std::vector<std::string>());
  if (!files) {
    state->configuration_errors.push_back(std::move(files.error()));
    files = std::vector<ProfileFile>();
  }
  std::ranges::move(errors_of(*files), std::back_inserter(state->configuration_errors));
  if (configuration) {
    state->tokens = state->factory(state->configuration.emplace(with_tokens_of(*configuration, *files)));
  }
  for (ProfileFile& file : *files) {
    if (file.name.empty()) continue;
    // Without devid.toml it is not known which tokens there are.
    if (!configuration) file.profile = fail(configuration.error());
    state->identities.try_emplace(file.name, file.name, std::move(file.profile), state->paths.state / file.name, clock);
  }
  return std::unique_ptr<Agent>(new Agent(std::move(state)));
}

std::vector<identity::Status> Agent::status() const {
  std::vector<identity::Status> all;
  all.reserve(state_->identities.size());
  for (const auto& [name, identity] : state_->identities) all.push_back(identity.status(state_->clock.now()));
  return all;
}

std::vector<Error> Agent::configuration_errors() const { return state_->configuration_errors; }

std::vector<Error> Agent::check() const {
  std::vector<Error> errors;
  const auto configuration = identity::read_configuration(state_->paths);
  if (!configuration) errors.push_back(configuration.error());
  const auto files = identity::read_profiles(
      state_->paths, configuration ? identity::token_names(*configuration) : std::vector<std::string>());
  if (!files) errors.push_back(files.error());
  if (!files) return errors;
  for (const auto& file : *files) std::ranges::copy(file.complaints, std::back_inserter(errors));
  return errors;
}

Result<> Agent::reload() {
  const auto refuse = [this](std::vector<Error> errors) -> Result<> {
    state_->configuration_errors = std::move(errors);
    return fail(state_->configuration_errors.front());
  };
  auto configuration = identity::read_configuration(state_->paths);
  if (!configuration) return refuse({std::move(configuration.error())});
  auto files = identity::read_profiles(state_->paths, identity::token_names(*configuration));
  if (!files) return refuse({std::move(files.error())});
  if (auto errors = errors_of(*files); !errors.empty()) return refuse(std::move(errors));

  state_->adopt(with_tokens_of(std::move(*configuration), *files));
  state_->configuration_errors.clear();
  auto before = std::exchange(state_->identities, {});
  for (auto& file : *files) {
    if (auto known = before.extract(file.name)) {
      known.mapped().set_profile(std::move(file.profile));
      state_->identities.insert(std::move(known));
    } else {
      state_->identities.try_emplace(file.name, file.name, std::move(file.profile), state_->paths.state / file.name,
                                     state_->clock);
    }
  }
  return {};
}

Result<JobResult> Agent::run(const std::string& name, JobKind kind, JobOptions options, JobObserver& observer) {
  const auto found = state_->identities.find(name);
  if (found == state_->identities.end()) return fail(unknown(name));
  return found->second.run(kind, options,
                           {.tokens = state_->tokens,
                            .clock = state_->clock,
                            .random = state_->random,
                            .idevid_certificates = state_->idevid_certificates(),
                            .revocation_cache = state_->revocation_cache},
                           observer);
}

Result<identity::ServerAnchor> Agent::trust(const std::string& name, const std::string& fingerprint) {
  const auto found = state_->identities.find(name);
  if (found == state_->identities.end()) return fail(unknown(name));
  auto accepted = found->second.trust(fingerprint, state_->clock.now());
  if (!accepted)
    return fail(while_doing(fmt::format("trust a CA for identity '{}'", name), std::move(accepted.error())));
  return accepted;
}

std::vector<std::pair<std::string, Notice>> Agent::update_copies() {
  std::vector<std::pair<std::string, Notice>> notices;
  for (auto& [name, identity] : state_->identities)
    if (auto notice = identity.update_copies()) notices.emplace_back(name, *std::move(notice));
  return notices;
}

void Agent::told(const std::string& name, std::uint64_t generation, const identity::UnitAction& action,
                 const Result<>& outcome) {
  const auto found = state_->identities.find(name);
  if (found != state_->identities.end())
    found->second.told(generation, action, outcome, state_->clock.now(), state_->random);
}

Result<std::uint64_t> Agent::rollback(const std::string& name) {
  const auto found = state_->identities.find(name);
  if (found == state_->identities.end()) return fail(unknown(name));
  auto number = found->second.rollback(state_->tokens, state_->clock.now());
  if (!number) return fail(while_doing(fmt::format("roll back identity '{}'", name), std::move(number.error())));
  return number;
}

Result<identity::Forgotten> Agent::forget(const std::string& name) {
  const auto found = state_->identities.find(name);
  if (found == state_->identities.end()) {
    std::error_code ignored;
    const auto directory = state_->paths.state / name;
    if (!identity::is_identity_name(name) || !std::filesystem::is_directory(directory, ignored))
      return fail(unknown(name));
    auto forgotten = identity::forget(directory, state_->tokens);
    if (!forgotten) return fail(while_doing(fmt::format("forget identity '{}'", name), std::move(forgotten.error())));
    return forgotten;
  }
  auto forgotten = found->second.forget(state_->tokens);
  if (!forgotten) return fail(while_doing(fmt::format("forget identity '{}'", name), std::move(forgotten.error())));
  return forgotten;
}

std::vector<std::pair<std::string, Result<std::vector<std::uint64_t>>>> Agent::retire_old() {
  std::vector<std::pair<std::string, Result<std::vector<std::uint64_t>>>> all;
  for (auto& [name, identity] : state_->identities) {
    auto retired = identity.retire(state_->tokens, state_->clock.now());
    if (!retired || !retired->empty()) all.emplace_back(name, std::move(retired));
  }
  return all;
}

std::vector<std::pair<std::string, std::string>> Agent::expiry_warnings() {
  std::vector<std::pair<std::string, std::string>> warnings;
  for (auto& [name, identity] : state_->identities)
    if (auto warning = identity.warn_of_expiry(state_->clock.now())) warnings.emplace_back(name, std::move(*warning));
  return warnings;
}

const Tokens& Agent::tokens() const { return state_->tokens; }

std::vector<TokenInspection> Agent::inspect_tokens() const {
  std::vector<TokenInspection> inspections;
  for (const auto& [name, token] : state_->tokens)
    inspections.push_back({.description = token->description(), .report = token->inspect()});
  return inspections;
}

Diagnosis Agent::diagnose() const {
  Diagnosis diagnosis;
  if (!state_->configuration) {
    for (const auto& error : state_->configuration_errors) diagnosis.advice.push_back(error.sentence());
    return diagnosis;
  }
  std::vector<identity::IdevidLocation> looked_for;
  for (auto& [wanted, profile_token] : state_->wishes()) {
    auto resolved = identity::resolve_token(state_->tokens, std::move(wanted), profile_token);
    if (!resolved) {
      diagnosis.advice.push_back(resolved.error().sentence() + "; " + resolved.error().hint);
      continue;
    }
    if (std::ranges::find(looked_for, *resolved) != looked_for.end()) continue;
    looked_for.push_back(*resolved);
    auto discovery = identity::discover({.tokens = state_->tokens,
                                         .wanted = std::move(*resolved),
                                         .files = state_->idevid_certificates(),
                                         .now = state_->clock.now()});
    std::ranges::move(discovery.evidence, std::back_inserter(diagnosis.evidence));
    for (auto& advice : discovery.advice)
      if (std::ranges::find(diagnosis.advice, advice) == diagnosis.advice.end())
        diagnosis.advice.push_back(std::move(advice));
  }
  diagnosis.evidence = identity::merged(std::move(diagnosis.evidence));
  return diagnosis;
}

}  // namespace devid
