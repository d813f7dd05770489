#include "agent/identity/wish.h"

#include <fmt/format.h>
#include <openssl/obj_mac.h>

#include <algorithm>
#include <system_error>
#include <utility>
#include <vector>

#include "agent/identity/specifiers.h"
#include "agent/pki/facts.h"
#include "base/file.h"

namespace devid::identity {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t longest_address = 8192;  ///< sysfs says 4,096 of every file
constexpr std::string_view no_address = "00:00:00:00:00:00";

/// Takes over the names that the CA has chosen. Whether they are complete.
bool adopt_names(pki::Names& names, const pki::Certificate& current) {
  auto subject = pki::subject_of(current);
  auto alternatives = pki::alternatives_of(current);
  if (alternatives) names.alternatives = std::move(*alternatives);
  if (subject) names.subject = std::move(*subject);
  return subject && !names.alternatives.empty();
}

bool refer_to_idevid(const pki::Names& names) {
  return std::ranges::any_of(names.subject, refers_to_idevid, &pki::NameAttribute::value) ||
         std::ranges::any_of(names.alternatives, refers_to_idevid, &pki::AlternativeName::value);
}

/// Fills in what the names take from the IDevID. A renewal shows another certificate, which has these names already.
Result<pki::Names> resolved(pki::Names names, JobKind kind, const pki::Certificate& client) {
  const auto fill = [&](auto& all) -> Result<> {
    for (auto& name : all) {
      auto value = resolve_idevid(name.value, client);
      if (!value) return fail(std::move(value.error()));
      name.value = std::move(*value);
    }
    return {};
  };
  if (kind == JobKind::renew) {
    static_cast<void>(adopt_names(names, client));
    if (!refer_to_idevid(names)) return names;
    return fail({.code = Errc::config_invalid,
                 .retry = Retry::after_operator,
                 .what = "the current certificate has names that devid cannot ask for again, in place of those that "
                         "refer to the IDevID",
                 .reason = client.subject(),
                 .hint = "write the names out in the profile"});
  }
  if (auto filled = fill(names.subject); !filled) return fail(std::move(filled.error()));
  if (auto filled = fill(names.alternatives); !filled) return fail(std::move(filled.error()));
  return names;
}

Result<pki::Names> names_for(const Profile& profile, JobKind kind, const std::optional<pki::Certificate>& client) {
  pki::Names names = profile.names;
  if (kind == JobKind::renew && client && profile.name_policy == pki::NamePolicy::ca_may_change)
    if (adopt_names(names, *client)) return names;
  if (refer_to_idevid(names)) {
    if (client) return resolved(std::move(names), kind, *client);
    return fail({.code = Errc::config_invalid,
                 .retry = Retry::after_operator,
                 .what = "the names of the profile refer to the IDevID, and the device shows none",
                 .hint = "write them out in " + profile.file.string()});
  }
  if (!names.subject.empty()) return names;
  auto serial = client ? client->subject_attribute(NID_serialNumber) : std::nullopt;
  if (!serial || serial->empty()) {
    return fail({.code = Errc::config_invalid,
                 .retry = Retry::after_operator,
                 .what = client ? "there is no name to ask for: the profile has no [subject], and the subject of the "
                                  "device's certificate has no serialNumber"
                                : "there is no name to ask for: the profile has no [subject], and the device shows no "
                                  "certificate",
                 .reason = client ? client->subject() : "",
                 .hint = "give the identity a [subject] in " + profile.file.string()});
  }
  names.subject.push_back({.type = "serialNumber", .value = std::move(*serial)});
  return names;
}

/// The profile's, and what the device can tell by itself.
std::map<std::string, std::string> facts_for(const Profile& profile, const pki::Names& names) {
  auto facts = profile.facts;
  for (const auto& [type, value] : names.subject)
    if (type == "serialNumber") facts.try_emplace(pki::serial_number_oid, value);
  if (auto address = mac_address()) facts.try_emplace(pki::mac_address_oid, std::move(*address));
  return facts;
}

}  // namespace

std::optional<std::string> mac_address(const fs::path& devices) {
  std::vector<fs::path> names;
  std::error_code error;
  for (fs::directory_iterator each(devices, error); !error && each != fs::directory_iterator(); each.increment(error))
    names.push_back(each->path());
  std::ranges::sort(names);
  for (const fs::path& name : names) {
    if (!fs::exists(name / "device", error)) continue;  // a bridge, a tunnel, the loopback
    const auto text = read_file(name / "address", longest_address);
    if (!text) continue;
    std::string address = text->substr(0, text->find('\n'));
    if (address.size() == no_address.size() && address != no_address) return address;
  }
  return std::nullopt;
}

Result<pki::RequestWish> wish_of(const Profile& profile, JobKind kind, const std::optional<pki::Certificate>& client) {
  auto names = names_for(profile, kind, client);
  if (!names) return fail(std::move(names.error()));
  auto facts = facts_for(profile, *names);
  return pki::RequestWish{.names = std::move(*names),
                          .name_policy = profile.name_policy,
                          .algorithms = profile.key.algorithms,
                          .facts = std::move(facts)};
}

}  // namespace devid::identity
