#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace devid::pki {

class Certificate;

/// One attribute of a subject DN: a short name or OID ("CN", "O", "serialNumber", "2.5.4.5") and a UTF-8 value.
struct NameAttribute {
  std::string type;
  std::string value;
  bool operator==(const NameAttribute&) const = default;
};

/// A subject alternative name (RFC 5280 4.2.1.6). `value` is a host name in ASCII, an IPv4 or IPv6 address in text, a
/// URI, or a mail address.
struct AlternativeName {
  enum class Kind { dns, ip, uri, email };
  Kind kind = Kind::dns;
  std::string value;
  bool operator==(const AlternativeName&) const = default;
  /// "DNS:gw.example", as Certificate::alternative_names writes it; an address in its canonical form.
  [[nodiscard]] std::string text() const;
};

/// The names that a certificate is asked for: the DN most significant attribute first (O before CN), and the SANs.
struct Names {
  std::vector<NameAttribute> subject;
  std::vector<AlternativeName> alternatives;
  bool operator==(const Names&) const = default;
};

/// Whether OpenSSL can encode the names: known types, lengths within the upper bounds of RFC 5280 appendix A, no NUL, a
/// subject or at least one alternative name. Error: config_invalid, saying which one and why.
Result<> check(const Names& names);

/// The subject that a certificate has, as it may be asked for again; none if devid cannot ask for such a one: an
/// attribute of several parts, a value that is no text, or longer than check() lets pass. May be empty.
std::optional<std::vector<NameAttribute>> subject_of(const Certificate& certificate);

/// The alternative names that a certificate has, likewise; none if one of them is not of the four kinds. Empty without
/// the extension.
std::optional<std::vector<AlternativeName>> alternatives_of(const Certificate& certificate);

}  // namespace devid::pki
