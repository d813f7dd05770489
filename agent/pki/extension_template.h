#pragma once

#include <vector>

#include "agent/pki/csr_attributes.h"

namespace devid::pki {

/// Reads ExtensionTemplates (RFC 9908 3.4), DER: a SEQUENCE of one or more extensions whose value may be absent.
/// Extensions (RFC 5280 4.1) are such. Error: answer_malformed, also for an extension that is there twice.
Result<std::vector<ExtensionTemplate>> read_extension_templates(BytesView der);

}  // namespace devid::pki
