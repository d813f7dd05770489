#pragma once

#include <filesystem>
#include <string>

#include "agent/identity/provenance.h"
#include "base/bytes.h"
#include "base/result.h"

namespace devid::identity {

/// A key and the certification request for it that is on its way to the CA, or waits there.
struct Request {
  std::string token_key_pem;  ///< PrivateKey::pem()
  Bytes csr;                  ///< PKCS#10, DER
  Provenance provenance;
  bool operator==(const Request&) const = default;
};

/// Writes token-key.pem, request.der and meta.json (mode 0600) into a directory that is there and empty. Each file is
/// synced. Error: storage_failed.
Result<> write_request(const std::filesystem::path& directory, const Request& request);

/// Replaces the CSR of a request that is there by another one for the same key. Error: storage_failed.
Result<> rewrite_csr(const std::filesystem::path& directory, BytesView csr);

/// Reads what write_request wrote. Errors: state_corrupt, storage_failed.
Result<Request> read_request(const std::filesystem::path& directory);

}  // namespace devid::identity
