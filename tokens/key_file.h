#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace devid {

/// The DER in a key file of a token: one PEM block called `name`, without headers, at its very start, and nothing but
/// white space after it; 16 KiB at most. Error: `refusal`, with what is wrong as the reason.
Result<Bytes> der_in_key_file(std::string_view pem, std::string_view name, const Error& refusal);

}  // namespace devid
