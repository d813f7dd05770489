#include "dbus/identity_object.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "agent/identity/explanation.h"
#include "base/file.h"
#include "dbus/authorization.h"
#include "dbus/guard.h"
#include "dbus/inventory.h"
#include "dbus/service.h"

namespace devid {
namespace {

/// More than any chain that devid accepts takes as PEM.
constexpr std::size_t certificate_file_limit = 1U << 20U;

Error wrong_option(const std::string& name, const std::string& reason) {
  return {.code = Errc::usage,
          .what = "option '" + printable(name, 40) + "' is wrong",
          .reason = reason,
          .hint = "org.devid1.Identity.xml describes the options"};
}

/// Reads the options of Enroll and Renew. What is not known by name is refused.
Result<JobOptions> parse_options(const wire::Dictionary& options, const std::vector<std::string_view>& known) {
  JobOptions result;
  for (const auto& [name, value] : options) {
    if (std::ranges::find(known, name) == known.end()) return fail(wrong_option(name, "this method does not know it"));
    if (!value.containsValueOfType<bool>()) return fail(wrong_option(name, "it takes a boolean"));
    if (name == "force") result.force = value.get<bool>();
    if (name == "rekey") result.rekey = value.get<bool>();
  }
  return result;
}

/// The properties in which two states of one identity differ.
std::vector<std::string> differences(const identity::Status& a, const identity::Status& b) {
  std::vector<std::string> names;
  const auto compare = [&names](const char* name, const auto& one, const auto& other) {
    if (one != other) names.emplace_back(name);
  };
  const auto text = [](const std::optional<Error>& error) {
    return error ? std::pair(error->code, wire::text_of(*error)) : std::pair(Errc::internal, std::string());
  };
  compare("State", a.state, b.state);
  compare("Reason", a.reason, b.reason);
  compare("Generation", a.generation, b.generation);
  compare("Subject", a.subject, b.subject);
  compare("Issuer", a.issuer, b.issuer);
  compare("SerialNumber", a.serial_number, b.serial_number);
  compare("Fingerprint", a.fingerprint, b.fingerprint);
  compare("NotBefore", a.not_before, b.not_before);
  compare("NotAfter", a.not_after, b.not_after);
  compare("KeyUri", a.key_uri, b.key_uri);
  compare("KeyAlgorithm", a.key_algorithm, b.key_algorithm);
  compare("KeyProtection", a.key_protection, b.key_protection);
  compare("CertificateFile", a.certificate_file, b.certificate_file);
  compare("ChainFile", a.chain_file, b.chain_file);
  compare("TrustAnchorsFile", a.trust_anchors_file, b.trust_anchors_file);
  compare("NextAttempt", a.next_attempt, b.next_attempt);
  compare("LastAttempt", a.last_attempt, b.last_attempt);
  compare("LastSuccess", a.last_success, b.last_success);
  compare("LastError", text(a.last_error), text(b.last_error));
  compare("Attempts", a.attempts, b.attempts);
  compare("PendingTrust", a.pending_trust, b.pending_trust);
  compare("Consumers", a.consumers, b.consumers);
  return names;
}

Result<wire::Dictionary> read_credential(const identity::Status& status) {
  namespace fs = std::filesystem;
  if (status.generation == 0) {
    return fail({.code = Errc::wrong_state,
                 .retry = Retry::later,
                 .what = "identity '" + status.name + "' has no credential yet",
                 .hint = "wait for the signal Rotated"});
  }
  // All files of one generation, whatever `current` is turned to meanwhile.
  std::error_code error;
  const fs::path directory = fs::canonical(fs::path(status.certificate_file).parent_path(), error);
  if (error) {
    return fail({.code = Errc::storage_failed,
                 .retry = Retry::later,
                 .what = "cannot find the current generation of identity '" + status.name + "'",
                 .reason = error.message()});
  }
  std::uint64_t generation = 0;
  const std::string name = directory.filename();
  if (std::from_chars(name.data(), name.data() + name.size(), generation).ec != std::errc()) {
    return fail({.code = Errc::state_corrupt,
                 .retry = Retry::later,
                 .what = "`current` of identity '" + status.name + "' names no generation",
                 .reason = directory.string(),
                 .hint = "restart devidd.service: it looks for the newest good generation"});
  }
  wire::Dictionary result{{"generation", sdbus::Variant(generation)},
                          {"key_uri", sdbus::Variant(status.key_uri)},
                          {"certificate_file", sdbus::Variant(status.certificate_file)},
                          {"chain_file", sdbus::Variant(status.chain_file)},
                          {"trust_anchors_file", sdbus::Variant(status.trust_anchors_file)}};
  const std::pair<const char*, const std::string&> files[] = {{"certificate", status.certificate_file},
                                                              {"chain", status.chain_file},
                                                              {"trust_anchors", status.trust_anchors_file}};
  for (const auto& [key, file] : files) {
    auto content = read_file(directory / fs::path(file).filename(), certificate_file_limit);
    if (!content) return fail(std::move(content.error()));
    result.emplace(key, sdbus::Variant(*content));
  }
  return result;
}

}  // namespace

IdentityObject::IdentityObject(sdbus::IConnection& connection, Service& service, identity::Status status)
    : AdaptorInterfaces(connection, wire::identity_path(status.name)), service_(service), status_(std::move(status)) {
  registerAdaptor();
}

IdentityObject::~IdentityObject() { unregisterAdaptor(); }

std::uint64_t IdentityObject::seconds(const std::optional<Time>& time) {
  return time && time->time_since_epoch().count() > 0 ? static_cast<std::uint64_t>(time->time_since_epoch().count())
                                                      : 0;
}

sdbus::Struct<std::string, std::string> IdentityObject::LastError() {
  if (!status_.last_error) return {};
  return {std::string(code_name(status_.last_error->code)), wire::text_of(*status_.last_error)};
}

std::vector<wire::Dictionary> IdentityObject::PendingTrust() { return wire::to_dictionaries(status_.pending_trust); }

std::vector<wire::Dictionary> IdentityObject::Consumers() { return wire::to_dictionaries(status_.consumers); }

void IdentityObject::update(identity::Status status) {
  const auto changed = differences(status_, status);
  const std::uint64_t old_generation = std::exchange(status_, std::move(status)).generation;
  if (!changed.empty()) getObject().emitPropertiesChangedSignal(INTERFACE_NAME, changed);
  if (status_.generation != old_generation) emitRotated(old_generation, status_.generation);
}

sdbus::ObjectPath IdentityObject::Enroll(const wire::Dictionary& options) {
  return guarded([&]() -> Result<sdbus::ObjectPath> {
    if (auto caller = authorize(getObject().getCurrentlyProcessedMessage(), "enroll"); !caller)
      return fail(std::move(caller.error()));
    auto parsed = parse_options(options, {"force"});
    if (!parsed) return fail(std::move(parsed.error()));
    return service_.start_job(status_, JobKind::enroll, *parsed);
  });
}

sdbus::ObjectPath IdentityObject::Renew(const wire::Dictionary& options) {
  return guarded([&]() -> Result<sdbus::ObjectPath> {
    if (auto caller = authorize(getObject().getCurrentlyProcessedMessage(), "renew"); !caller)
      return fail(std::move(caller.error()));
    auto parsed = parse_options(options, {"force", "rekey"});
    if (!parsed) return fail(std::move(parsed.error()));
    return service_.start_job(status_, JobKind::renew, *parsed);
  });
}

void IdentityObject::Trust(sdbus::Result<wire::Dictionary>&& result, std::string fingerprint) {
  guarded([&]() -> Result<> {
    if (auto caller = authorize(getObject().getCurrentlyProcessedMessage(), "trust"); !caller)
      return fail(std::move(caller.error()));
    service_.trust(status_.name, std::move(fingerprint),
                   [reply = share(std::move(result))](const Result<identity::ServerAnchor>& accepted) {
                     if (accepted) {
                       reply->returnResults(wire::to_dictionary(*accepted));
                     } else {
                       reply->returnError(wire::to_dbus(accepted.error()));
                     }
                   });
    return {};
  });
}

void IdentityObject::Rollback(sdbus::Result<std::uint64_t>&& result, wire::Dictionary options) {
  guarded([&]() -> Result<> {
    if (auto caller = authorize(getObject().getCurrentlyProcessedMessage(), "rollback"); !caller)
      return fail(std::move(caller.error()));
    if (auto parsed = parse_options(options, {}); !parsed) return fail(std::move(parsed.error()));
    service_.rollback(status_.name, [reply = share(std::move(result))](const Result<std::uint64_t>& generation) {
      if (generation) {
        reply->returnResults(*generation);
      } else {
        reply->returnError(wire::to_dbus(generation.error()));
      }
    });
    return {};
  });
}

void IdentityObject::Forget(sdbus::Result<wire::Dictionary>&& result, wire::Dictionary options) {
  guarded([&]() -> Result<> {
    if (auto caller = authorize(getObject().getCurrentlyProcessedMessage(), "forget"); !caller)
      return fail(std::move(caller.error()));
    if (auto parsed = parse_options(options, {}); !parsed) return fail(std::move(parsed.error()));
    service_.forget(status_.name, share(std::move(result)));
    return {};
  });
}

std::vector<std::string> IdentityObject::Explain() {
  const auto& outlook = status_.outlook;
  if (!outlook) return {std::string(state_name(status_.state)) + ": " + status_.reason};
  return identity::explain(outlook->situation, outlook->profile, service_.now());
}

wire::Dictionary IdentityObject::GetCredential() {
  return guarded([this] { return read_credential(status_); });
}

}  // namespace devid
