#include "agent/identity/profile_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "agent/identity/consumers_parser.h"
#include "agent/identity/delivery_parser.h"
#include "agent/identity/duration.h"
#include "agent/identity/idevid_parser.h"
#include "agent/identity/key_parser.h"
#include "agent/identity/renewal_parser.h"
#include "agent/identity/server_parser.h"
#include "agent/identity/table_parser.h"
#include "agent/pki/facts.h"

namespace devid::identity {
namespace {

using std::chrono::days;

constexpr DurationRange retry_range{Seconds(1), days(30)};

/// What another parser says, without its "cannot …": the place says enough.
std::string text_of(const Error& error) {
  return error.reason.empty() ? error.what : fmt::format("{} ({})", error.what, error.reason);
}

std::string default_name(const std::filesystem::path& file) {
  const std::string stem = file.stem().string();
  return is_identity_name(stem) ? stem : "";
}

std::string parse_name(TableParser& top, const std::filesystem::path& file) {
  const std::string_view form = "a name is 1 to 63 of a-z, 0-9, '-' and '_', and begins with a letter or digit";
  auto name = top.string("name");
  if (name && is_identity_name(*name)) return *name;
  const std::string stem = default_name(file);
  if (name) {
    top.complain("name", fmt::format("'{}' cannot be the name of an identity", *name), std::string(form));
  } else if (stem.empty() && !top.has("name")) {
    top.complain("name", fmt::format("the file's name, '{}', cannot be the name of an identity", file.stem().string()),
                 fmt::format("rename the file, or give a name = \"…\"; {}", form));
  }
  return stem;
}

/// Puts the device's facts for the specifiers of a value; complains where it is written.
std::optional<std::string> expanded(const TableParser::Located& located, const DeviceFacts& facts,
                                    Complaints& complaints) {
  auto value = expand(located.value, facts);
  if (value) return std::move(*value);
  complaints.add(located.where, value.error().what, value.error().hint);
  return std::nullopt;
}

/// Complains about a name that could not be encoded, where it is written. What the IDevID is to fill in is not known
/// yet.
bool check_names(const pki::Names& names, const toml::source_region& where, Complaints& complaints) {
  const bool open = std::ranges::any_of(names.subject, refers_to_idevid, &pki::NameAttribute::value) ||
                    std::ranges::any_of(names.alternatives, refers_to_idevid, &pki::AlternativeName::value);
  if (open) return true;
  const auto checked = pki::check(names);
  if (!checked) complaints.add(where, text_of(checked.error()), checked.error().hint);
  return checked.has_value();
}

void parse_subject(TableParser table, pki::Names& names, const DeviceFacts& facts, Complaints& complaints,
                   TableParser& top) {
  if (!table.exists()) return;
  const auto attributes = table.attributes();
  if (attributes.empty() && !complaints.first())
    top.complain("subject", "[subject] is empty", "leave it out to use the serial number of the IDevID");
  for (const auto& [type, value] : attributes) {
    auto text = expanded(value, facts, complaints);
    if (!text) continue;
    pki::NameAttribute attribute{.type = type, .value = std::move(*text)};
    if (check_names({.subject = {attribute}}, value.where, complaints)) names.subject.push_back(std::move(attribute));
  }
}

void parse_alternatives(TableParser table, pki::Names& names, const DeviceFacts& facts, Complaints& complaints) {
  using Kind = pki::AlternativeName::Kind;
  constexpr std::array<std::pair<std::string_view, Kind>, 4> kinds{
      {{"dns", Kind::dns}, {"ip", Kind::ip}, {"uri", Kind::uri}, {"email", Kind::email}}};
  for (const auto& [key, kind] : kinds) {
    for (const auto& located : table.strings(key)) {
      auto text = expanded(located, facts, complaints);
      if (!text) continue;
      pki::AlternativeName name{.kind = kind, .value = std::move(*text)};
      if (check_names({.alternatives = {name}}, located.where, complaints))
        names.alternatives.push_back(std::move(name));
    }
  }
  table.refuse_unknown();
}

void parse_certificate(TableParser table, Profile& profile) {
  if (const auto policy = table.string("names")) {
    if (*policy == "ca-may-change") {
      profile.name_policy = pki::NamePolicy::ca_may_change;
    } else if (*policy != "exact") {
      table.complain("names", fmt::format("certificate.names cannot be '{}'", *policy),
                     "write \"exact\" or \"ca-may-change\"");
    }
  }
  profile.trust_anchors = table.absolute_path("trust_anchors").value_or("");
  profile.revocation = parse_revocation(table, "certificate", profile.revocation);
  table.refuse_unknown();
}

/// What the server may ask of the device, by a name that OpenSSL knows, one of the Hotspot 2.0 attributes, or an OID.
void parse_facts(TableParser table, const DeviceFacts& device, std::map<std::string, std::string>& facts,
                 Complaints& complaints) {
  for (const auto& [name, value] : table.attributes()) {
    const std::string oid = pki::fact_oid(name);
    if (oid.empty()) {
      complaints.add(
          value.where, fmt::format("facts.{} is no attribute", printable(name, 80)),
          "write serialNumber, macAddress, imei, meid, deviceId, or the number of an attribute: \"2.5.4.5\"");
    } else if (auto text = expanded(value, device, complaints); text && !facts.emplace(oid, std::move(*text)).second) {
      complaints.add(value.where, fmt::format("facts.{} is there twice", printable(name, 80)), "leave one of them out");
    }
  }
}

void parse_retry(TableParser table, RetryPolicy& retry) {
  retry.minimum = table.duration("minimum", retry_range).value_or(retry.minimum);
  retry.maximum = table.duration("maximum", retry_range).value_or(retry.maximum);
  if (retry.minimum > retry.maximum) {
    table.complain(table.has("maximum") ? "maximum" : "minimum",
                   fmt::format("retry.maximum ({}) must not be shorter than retry.minimum ({})",
                               duration_text(retry.maximum), duration_text(retry.minimum)),
                   "lengthen one or shorten the other");
  }
  table.refuse_unknown();
}

}  // namespace

ProfileFile unusable_file(const std::filesystem::path& file, const Error& error) {
  return {.file = file,
          .name = default_name(file),
          .place = file.string() + ":1:1",
          .profile = fail(error),
          .complaints = {error}};
}

ProfileFile parse_profile(std::string_view text, const std::filesystem::path& file,
                          const std::vector<std::string>& tokens, const DeviceFacts& facts) {
  const auto root = parse_toml(text, file);
  if (!root) return unusable_file(file, root.error());
  Complaints complaints(file);
  TableParser top(*root, "", complaints);
  Profile profile{.name = parse_name(top, file), .file = file};
  profile.token = parse_token_name(top, "token", tokens).value_or(profile.token);
  profile.after_rotation = parse_after_rotation(top, complaints);
  profile.server = parse_server(top.table("server"));
  profile.idevid = parse_idevid(top, tokens);
  profile.key = parse_key(top.table("key"), profile.token);
  if (profile.key.from_server && profile.server.renewal_operation == RenewalOperation::full_cmc) {
    top.table("server").complain("renewal_operation",
                                 "server.renewal_operation cannot be \"full-cmc\" with key.generated_by \"server\"",
                                 "a Full PKI Request is for a key of the device: renew by \"simple\"");
  }
  parse_subject(top.table("subject"), profile.names, facts, complaints, top);
  parse_alternatives(top.table("subject_alternative_names"), profile.names, facts, complaints);
  parse_facts(top.table("facts"), facts, profile.facts, complaints);
  parse_certificate(top.table("certificate"), profile);
  profile.renewal = parse_renewal(top.table("renewal"));
  parse_retry(top.table("retry"), profile.retry);
  profile.files = parse_files(top.table("files"));
  profile.copies = parse_copies(top.table("copies"));
  top.refuse_unknown();
  ProfileFile parsed{.file = file, .name = profile.name, .place = top.place("name"), .profile = std::move(profile)};
  parsed.complaints = complaints.sorted();
  if (!parsed.complaints.empty()) parsed.profile = fail(parsed.complaints.front());
  return parsed;
}

}  // namespace devid::identity
