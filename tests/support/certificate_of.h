#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "agent/pki/certificate.h"

namespace devid::test {

/// The certificates in PEM that the openssl command wrote.
inline std::vector<pki::Certificate> certificates_of(const std::string& pem) {
  if (pem.empty()) return {};
  auto certificates = pki::read_certificates(as_bytes(pem));
  if (!certificates) throw std::runtime_error(certificates.error().sentence());
  return std::move(*certificates);
}

inline pki::Certificate certificate_of(const std::string& pem) { return certificates_of(pem).at(0); }

}  // namespace devid::test
