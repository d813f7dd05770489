#pragma once

#include <openssl/x509.h>

#include "agent/pki/general_name.h"
#include "agent/pki/name.h"

namespace devid::pki {

using EncodedName = Owned<X509_NAME, X509_NAME_free>;

/// The subject as it goes into a certification request. Error: config_invalid, saying which attribute and why.
Result<EncodedName> encode_subject(const std::vector<NameAttribute>& subject);

/// The alternative names as they go into a subjectAltName extension. Error: config_invalid, saying which one and why.
Result<GeneralNames> encode_alternatives(const std::vector<AlternativeName>& alternatives);

/// One of the four kinds that devid asks for; none for another kind. What encode_alternatives says of it is another
/// question.
std::optional<AlternativeName> alternative_of(const GENERAL_NAME& name);

}  // namespace devid::pki
