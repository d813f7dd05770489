#include "agent/identity/idevid_parser.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/identity/token_uri.h"

namespace devid::identity {
namespace {

constexpr std::string_view anywhere = "auto";

bool is_number(std::string_view text) {
  const auto is_digit = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  };
  return text.size() == 10 && text.starts_with("0x") && std::ranges::all_of(text.substr(2), is_digit);
}

/// "H-2" or "H-2/VARIANT": what the variants are is the token's to know.
bool is_template(std::string_view text) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  const std::size_t slash = std::min(text.find('/'), text.size());
  const auto variant = text.substr(std::min(slash + 1, text.size()));
  return text.starts_with("H-") && slash > 2 && slash < 16 && variant.size() <= 64 &&
         (slash == text.size() || !variant.empty()) && std::ranges::all_of(text.substr(0, slash), is_letter) &&
         std::ranges::all_of(variant, is_letter);
}

/// What is wrong with a place where a key may be; nothing for a good one.
std::string flaw_of_key(std::string_view place) {
  if (place == anywhere) return {};
  if (place.starts_with("handle:")) return is_number(place.substr(7)) ? "" : "a handle has 8 hexadecimal digits";
  if (place.starts_with("template:")) return is_template(place.substr(9)) ? "" : "a template is H-1, H-2, H-3 or H-4";
  if (const auto checked = check_token_uri(place); is_token_uri(place) && !checked) return checked.error().what;
  return is_token_uri(place) ? "" : "it is no place of a key";
}

std::string flaw_of_certificate(std::string_view place) {
  if (place == anywhere || place.starts_with('/')) return {};
  if (place.starts_with("nv:")) return is_number(place.substr(3)) ? "" : "an NV index has 8 hexadecimal digits";
  if (const auto checked = check_token_uri(place); is_token_uri(place) && !checked) return checked.error().what;
  return is_token_uri(place) ? "" : "it is no place of a certificate";
}

constexpr const char* key_forms = "\"auto\", \"handle:0x81020000\", \"template:H-2\" or \"pkcs11:object=LABEL\"";

void parse_key_place(TableParser& table, const std::string& place, IdevidLocation& idevid) {
  const std::string flaw = flaw_of_key(place);
  if (!flaw.empty()) {
    table.complain("key", fmt::format("idevid.key cannot be '{}': {}", place, flaw),
                   fmt::format("write {}", key_forms));
  } else if (place != anywhere) {
    idevid.key = place;
  }
}

void parse_certificate_place(TableParser& table, const std::string& place, IdevidLocation& idevid) {
  const std::string flaw = flaw_of_certificate(place);
  if (!flaw.empty()) {
    table.complain("certificate", fmt::format("idevid.certificate cannot be '{}': {}", place, flaw),
                   "write \"auto\", \"nv:0x01c90200\", \"pkcs11:object=LABEL\" or \"/etc/devid/idevid.pem\"");
  } else if (place.starts_with('/')) {
    idevid.certificate = InFile{place};
  } else if (place != anywhere) {
    idevid.certificate = InToken{place};
  }
}

/// Key and certificate in a token are in one token.
bool contradict(const IdevidLocation& idevid) {
  const auto* certificate = idevid.certificate ? std::get_if<InToken>(&*idevid.certificate) : nullptr;
  return !idevid.key.empty() && certificate != nullptr &&
         is_token_uri(idevid.key) != is_token_uri(certificate->location);
}

IdevidLocation parse_table(TableParser table, const std::vector<std::string>& tokens) {
  IdevidLocation idevid;
  idevid.token = parse_token_name(table, "token", tokens).value_or("");
  if (const auto key = table.string("key")) parse_key_place(table, *key, idevid);
  if (const auto certificate = table.string("certificate")) parse_certificate_place(table, *certificate, idevid);
  idevid.allow_expired = table.boolean("allow_expired").value_or(false);
  if (contradict(idevid)) {
    table.complain("certificate", "idevid.key and idevid.certificate are in different kinds of token",
                   "a certificate is found in the token of its key, or in a file");
  }
  table.refuse_unknown();
  return idevid;
}

IdevidLocation parse_text(TableParser& top, const std::string& place) {
  IdevidLocation idevid;
  if (place == anywhere) return idevid;
  const bool is_certificate = place.starts_with("nv:");
  const std::string flaw = is_certificate ? flaw_of_certificate(place) : flaw_of_key(place);
  if (!flaw.empty()) {
    top.complain("idevid", fmt::format("idevid cannot be '{}': {}", place, flaw),
                 fmt::format("write {}, \"nv:0x01c90200\", or a table [idevid]", key_forms));
  } else if (is_certificate) {
    idevid.certificate = InToken{place};
  } else {
    idevid.key = place;
  }
  return idevid;
}

}  // namespace

std::optional<std::string> parse_token_name(TableParser& table, std::string_view key,
                                            const std::vector<std::string>& tokens) {
  auto name = table.string(key);
  if (!name) return std::nullopt;
  if (is_token_uri(*name)) {
    if (const auto checked = check_token_uri(*name); !checked)
      table.complain(key, checked.error().what, checked.error().hint);
  } else if (!tokens.empty() && std::ranges::find(tokens, *name) == tokens.end()) {
    table.complain(key, fmt::format("there is no token '{}'", *name),
                   fmt::format("tokens: {}; others are described in devid.toml, or named by a PKCS#11 URI",
                               fmt::join(tokens, ", ")));
  }
  return name;
}

IdevidLocation parse_idevid(TableParser& top, const std::vector<std::string>& tokens) {
  if (!top.has_string("idevid")) return parse_table(top.table("idevid"), tokens);
  const auto place = top.string("idevid");
  return place ? parse_text(top, *place) : IdevidLocation();
}

}  // namespace devid::identity
