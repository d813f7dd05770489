#pragma once

#include <openssl/x509v3.h>

#include <optional>
#include <string>

#include "base/owned.h"

namespace devid::pki {

using GeneralNames = Owned<GENERAL_NAMES, GENERAL_NAMES_free>;

/// The characters of an ASN.1 string as UTF-8, unescaped; none if they are not what the string's type says.
std::optional<std::string> utf8(const ASN1_STRING* string);

/// One GeneralName (RFC 5280 4.2.1.6) as AlternativeName::text() writes it: "DNS:gw.example", "IP:192.0.2.1"; the kinds
/// that devid does not ask for as "dirName:…", "RID:…", "otherName:OID" and the like. Escaped.
std::string general_name_text(const GENERAL_NAME& name);

/// An address as it is written: "192.0.2.1", "2001:db8::1". `octets` are 4 or 16, else it is "unreadable".
std::string address_text(const ASN1_OCTET_STRING* octets);

}  // namespace devid::pki
