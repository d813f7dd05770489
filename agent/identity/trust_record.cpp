#include "agent/identity/trust_record.h"

#include <fmt/format.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace devid::identity {
namespace {

using Json = nlohmann::ordered_json;
using pki::Certificate;

constexpr std::uint64_t version = 1;
constexpr std::size_t most = 16;        ///< of each kind
constexpr std::size_t most_pinned = 8;  ///< as many servers as a profile names
constexpr std::size_t most_looked_at = 64;
constexpr std::size_t largest = 16UL * 1024;  ///< a certificate, DER
constexpr std::size_t longest_server = 2048;
constexpr std::int64_t latest_time = 253402300799;  // 9999-12-31 23:59:59, RFC 5280 4.1.2.5

Error corrupt(std::string reason) {
  return {.code = Errc::state_corrupt,
          .retry = Retry::later,
          .what = "cannot use what was recorded of trust",
          .reason = std::move(reason),
          .hint = "the profile's trust_anchors count alone now; what an operator accepted has to be accepted again"};
}

bool is_storable(const Certificate& certificate) { return certificate.der().size() <= largest; }

bool is_ca(const Certificate& certificate) { return X509_check_ca(certificate.get()) == 1; }

/// Whether another learned root is proven by this one.
bool is_needed(const TrustRecord& record, const LearnedRoot& step) {
  return std::ranges::any_of(record.learned, [&](const LearnedRoot& other) {
    return other != step && pki::verify_link(other.root, other.link, {step.root}, other.when);
  });
}

Error cannot_learn(std::string reason) {
  return {.code = Errc::storage_failed,
          .retry = Retry::after_operator,
          .what = "cannot remember a new root of the CA",
          .reason = std::move(reason),
          .hint = "put the root that is in use into the profile's trust_anchors"};
}

std::string list_of(const std::vector<ServerAnchor>& anchors) {
  std::vector<std::string> shown;
  shown.reserve(anchors.size());
  for (const ServerAnchor& each : anchors)
    shown.push_back(fmt::format("{} ({})", each.certificate.fingerprint(), printable(each.certificate.subject(), 80)));
  return fmt::format("{}", fmt::join(shown, ", "));
}

}  // namespace

Result<std::vector<Certificate>> anchors_of(const std::vector<Certificate>& profile, const TrustRecord& record,
                                            std::string_view server, Time now) {
  std::vector<Certificate> trusted = profile;
  for (const ServerAnchor& each : record.accepted)
    if (each.server == server) trusted.push_back(each.certificate);
  std::vector<LearnedRoot> unproven = record.learned;
  const auto proven = [&trusted](const LearnedRoot& each) {
    if (!pki::verify_link(each.root, each.link, trusted, each.when)) return false;
    trusted.push_back(each.root);
    return true;
  };
  while (std::erase_if(unproven, proven) > 0) {
  }
  if (!trusted.empty()) return pki::unexpired(trusted, now);
  return fail({.code = Errc::trust_missing,
               .retry = Retry::after_operator,
               .what = fmt::format("there is nothing to trust {} by", printable(server)),
               .hint = "devidctl trust shows what it offers"});
}

Result<> learn(TrustRecord& record, const pki::Rollover& rollover, Time now) {
  TrustRecord changed = record;
  for (std::size_t i = 0; i < rollover.added.size() && i < rollover.links.size(); ++i) {
    LearnedRoot learned{.root = rollover.added[i], .link = rollover.links[i], .when = now};
    if (!is_storable(learned.root) || !is_storable(learned.link))
      return fail(cannot_learn(fmt::format("{} is larger than 16 KiB", printable(learned.root.subject(), 200))));
    std::erase_if(changed.learned, [&](const LearnedRoot& each) { return each.root == learned.root; });
    changed.learned.push_back(std::move(learned));
  }
  if (changed.learned.size() > most) {
    const std::vector<LearnedRoot> all = changed.learned;
    for (const LearnedRoot& each : all)
      if (each.root.not_after() < now && !is_needed(changed, each)) std::erase(changed.learned, each);
  }
  if (changed.learned.size() > most) return fail(cannot_learn(fmt::format("{} are remembered already", most)));
  record = std::move(changed);
  return {};
}

void see(TrustRecord& record, const std::string& server, const std::vector<Certificate>& certificates, Time now) {
  std::vector<Certificate> cas;
  for (const Certificate& each : certificates) {
    if (&each - certificates.data() == most_looked_at) break;
    const auto is_this = [&](const ServerAnchor& known) { return known.certificate == each && known.server == server; };
    if (is_ca(each) && is_storable(each) && std::ranges::find(cas, each) == cas.end() &&
        std::ranges::none_of(record.accepted, is_this))
      cas.push_back(each);
  }
  std::ranges::stable_partition(cas, &Certificate::is_self_issued);
  std::vector<ServerAnchor> others = std::exchange(record.seen, {});
  for (Certificate& each : cas)
    if (record.seen.size() < most)
      record.seen.push_back({.certificate = std::move(each), .server = server, .when = now});
  for (ServerAnchor& each : others)
    if (each.server != server && record.seen.size() < most) record.seen.push_back(std::move(each));
}

std::vector<ServerAnchor> offered(const TrustRecord& record, std::string_view server) {
  std::vector<ServerAnchor> list;
  std::ranges::copy_if(record.seen, std::back_inserter(list),
                       [server](const ServerAnchor& each) { return each.server == server; });
  return list;
}

Result<ServerAnchor> accept(TrustRecord& record, std::string_view fingerprint, std::string_view server, Time now) {
  const auto found = std::ranges::find_if(record.seen, [&](const ServerAnchor& each) {
    return each.server == server && each.certificate.fingerprint() == fingerprint;
  });
  if (found == record.seen.end()) {
    const std::string list = list_of(offered(record, server));
    return fail({.code = Errc::wrong_state,
                 .retry = Retry::after_operator,
                 .what = "there is no certificate with this fingerprint to accept",
                 .reason = list.empty() ? fmt::format("nothing is offered by {}", printable(server))
                                        : fmt::format("{} offers {}", printable(server), list),
                 .hint = list.empty() ? "let devid meet its server first: devidctl run-due"
                                      : "devidctl trust shows it in full"});
  }
  ServerAnchor accepted = std::move(*found);
  accepted.when = now;
  record.seen.erase(found);
  std::erase_if(record.accepted, [&](const ServerAnchor& each) {
    return each.certificate == accepted.certificate && each.server == accepted.server;
  });
  if (record.accepted.size() == most) record.accepted.erase(record.accepted.begin());
  record.accepted.push_back(accepted);
  return accepted;
}

void pin(TrustRecord& record, const Certificate& certificate, const std::string& server, Time now) {
  std::erase_if(record.pinned, [&](const ServerAnchor& each) { return each.server == server; });
  if (!is_storable(certificate)) return;
  if (record.pinned.size() == most_pinned) record.pinned.erase(record.pinned.begin());
  record.pinned.push_back({.certificate = certificate, .server = server, .when = now});
}

std::optional<Certificate> pinned(const TrustRecord& record, std::string_view fingerprint, std::string_view server) {
  for (const ServerAnchor& each : record.pinned)
    if (each.server == server && each.certificate.fingerprint() == fingerprint) return each.certificate;
  return std::nullopt;
}

namespace {

std::int64_t to_number(Time time) { return std::clamp<std::int64_t>(time.time_since_epoch().count(), 0, latest_time); }

Json to_array(const std::vector<ServerAnchor>& anchors) {
  Json array = Json::array();
  for (const ServerAnchor& each : anchors)
    array.push_back({{"when", to_number(each.when)}, {"server", each.server}, {"certificate", each.certificate.pem()}});
  return array;
}

const std::string* text_in(const Json& object, const char* key) {
  const auto member = object.find(key);
  return member != object.end() && member->is_string() ? &member->get_ref<const std::string&>() : nullptr;
}

std::optional<Time> time_in(const Json& object, const char* key) {
  const auto member = object.find(key);
  if (member == object.end() || !member->is_number_unsigned() || member->get<std::uint64_t>() > latest_time)
    return std::nullopt;
  return Time(Seconds(member->get<std::int64_t>()));
}

std::optional<Certificate> certificate_in(const Json& object, const char* key) {
  const std::string* const pem = text_in(object, key);
  if (pem == nullptr) return std::nullopt;
  auto certificates = pki::read_certificates(as_bytes(*pem), 1);
  if (!certificates || certificates->size() != 1 || !is_storable(certificates->front())) return std::nullopt;
  return std::move(certificates->front());
}

std::optional<ServerAnchor> to_server_anchor(const Json& object) {
  auto certificate = certificate_in(object, "certificate");
  const std::string* const server = text_in(object, "server");
  const auto when = time_in(object, "when");
  if (!certificate || server == nullptr || server->size() > longest_server || !when) return std::nullopt;
  return ServerAnchor{.certificate = std::move(*certificate), .server = *server, .when = *when};
}

std::optional<LearnedRoot> to_learned_root(const Json& object) {
  auto root = certificate_in(object, "root");
  auto link = certificate_in(object, "link");
  const auto when = time_in(object, "when");
  if (!root || !link || !when) return std::nullopt;
  return LearnedRoot{.root = std::move(*root), .link = std::move(*link), .when = *when};
}

/// Whether there is such an array, with no more in it than devid writes; then it is in `list`.
template <class T>
bool read_list(const Json& json, const char* key, std::optional<T> (*parse)(const Json&), std::vector<T>& list) {
  const auto member = json.find(key);
  if (member == json.end() || !member->is_array() || member->size() > most) return false;
  for (const Json& each : *member) {
    auto parsed = each.is_object() ? parse(each) : std::nullopt;
    if (!parsed) return false;
    list.push_back(std::move(*parsed));
  }
  return true;
}

}  // namespace

std::string to_json(const TrustRecord& record) {
  Json learned = Json::array();
  for (const auto& [root, link, when] : record.learned)
    learned.push_back({{"when", to_number(when)}, {"root", root.pem()}, {"link", link.pem()}});
  Json json{{"version", version},
            {"learned", std::move(learned)},
            {"accepted", to_array(record.accepted)},
            {"pinned", to_array(record.pinned)},
            {"seen", to_array(record.seen)}};
  if (record.looked_at) json["looked_at"] = to_number(*record.looked_at);
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<TrustRecord> parse_trust_record(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return fail(corrupt("it is not JSON, or is cut short"));
  if (!json.is_object()) return fail(corrupt("it is not a JSON object"));
  if (json.value("version", Json()) != version) return fail(corrupt("this devid knows version 1 of it"));
  TrustRecord record;
  if (!read_list(json, "learned", to_learned_root, record.learned))
    return fail(corrupt("the value of 'learned' is wrong"));
  if (!read_list(json, "accepted", to_server_anchor, record.accepted))
    return fail(corrupt("the value of 'accepted' is wrong"));
  if (!read_list(json, "pinned", to_server_anchor, record.pinned) || record.pinned.size() > most_pinned)
    return fail(corrupt("the value of 'pinned' is wrong"));
  if (!read_list(json, "seen", to_server_anchor, record.seen)) return fail(corrupt("the value of 'seen' is wrong"));
  if (json.contains("looked_at")) {
    record.looked_at = time_in(json, "looked_at");
    if (!record.looked_at) return fail(corrupt("the value of 'looked_at' is wrong"));
  }
  return record;
}

}  // namespace devid::identity
