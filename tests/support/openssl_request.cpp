#include "tests/support/openssl_request.h"

#include <stdexcept>

#include "tests/support/command.h"

namespace devid::test {

std::string verified_request_text(const std::string& der) {
  const auto outcome =
      run({.argv = {"openssl", "req", "-inform", "DER", "-verify", "-noout", "-text", "-nameopt", "RFC2253"},
           .input = der});
  // Its exit status is 0 for a signature that is wrong, too.
  if (!outcome.ok() || outcome.errors.find("verify OK") == std::string::npos)
    throw std::runtime_error("openssl does not verify the request: " + outcome.errors);
  return outcome.output;
}

}  // namespace devid::test
