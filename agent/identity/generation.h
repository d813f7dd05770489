#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "agent/identity/provenance.h"
#include "agent/pki/certificate.h"
#include "base/result.h"

namespace devid::identity {

/// A key, its certificate, the chain and the trust anchors that it was verified with. Never changed once written.
struct Generation {
  std::uint64_t number = 0;   ///< 1, 2, 3 …; given by Store::install
  std::string token_key_pem;  ///< PrivateKey::pem()
  pki::Certificate leaf;
  std::vector<pki::Certificate> chain;    ///< intermediates, nearest to the leaf first
  std::vector<pki::Certificate> anchors;  ///< at least one
  Provenance provenance;                  ///< its public key is the leaf's
};

/// Writes token-key.pem (mode 0600), certificate.pem, chain.pem, certificate-chain.pem, trust-anchors.pem and meta.json
/// (0644) into a directory that is there and empty. Each file is synced. Error: storage_failed.
Result<> write_generation(const std::filesystem::path& directory, const Generation& generation);

/// Reads what write_generation wrote: every file is there, bounded and well formed, and key, certificate and
/// certificate-chain.pem are of one kind. Only meta.json need not be: where it cannot be read, it is replaced by what
/// the certificate and the key say: the default token, the start of validity as the time, no server, and enroll. The
/// number is left 0. Errors: state_corrupt, storage_failed, token_unsupported (a newer devid's kind of key).
Result<Generation> read_generation(const std::filesystem::path& directory);

}  // namespace devid::identity
