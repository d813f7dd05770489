#pragma once

#include <p11-kit/p11-kit.h>

#include <string>

#include "base/bytes.h"
#include "base/error.h"

namespace devid::pkcs11 {

/// One call of a module, and what it returned.
struct Call {
  const char* name;
  CK_RV rv;
};

/// A text field of fixed size, padded with blanks (PKCS#11 v2.40, 3.1), as UTF-8 that may be anything.
template <std::size_t size>
std::string text_of(const unsigned char (&field)[size]) {
  const auto bytes = to_bytes(field, p11_kit_space_strlen(field, size));
  return std::string(as_text(bytes));
}

}  // namespace devid::pkcs11
