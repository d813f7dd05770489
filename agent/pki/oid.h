#pragma once

#include <openssl/asn1.h>

#include <optional>
#include <string>

#include "base/owned.h"

namespace devid::pki {

using Oid = Owned<ASN1_OBJECT, ASN1_OBJECT_free>;

/// The longest OID that devid handles, in characters. The longest in use have half of it.
constexpr std::size_t longest_oid = 100;

/// "2.5.4.5"; none for an OID beyond longest_oid.
std::optional<std::string> dotted(const ASN1_OBJECT* oid);

/// The same for a name ("serialNumber") or digits; none for what is neither.
std::optional<std::string> dotted(const std::string& name_or_digits);

/// For people: the short name that OpenSSL has for it, else the digits.
std::string oid_name(const ASN1_OBJECT* oid);

/// From digits; null for what is no OID.
Oid oid_of(const std::string& digits);

}  // namespace devid::pki
