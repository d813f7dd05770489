#include "agent/identity/request.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include <utility>

#include "agent/identity/stored_file.h"
#include "base/file.h"
#include "tokens/public_key.h"

namespace devid::identity {
namespace {

namespace fs = std::filesystem;

constexpr const char* key_file = "token-key.pem";
constexpr const char* csr_file = "request.der";
constexpr const char* provenance_file = "meta.json";

constexpr std::size_t size_limit = 64UL * 1024;  ///< bytes of any of the files
constexpr mode_t for_devid = 0600;

/// Is it a whole PKCS#10 request for this key?
bool is_request_for(BytesView der, const PublicKey& key) {
  const unsigned char* position = as_uchar(der);
  const unsigned char* const end = position + der.size();
  const Owned<X509_REQ, X509_REQ_free> request(d2i_X509_REQ(nullptr, &position, static_cast<long>(der.size())));
  EVP_PKEY* const evp = request && position == end ? X509_REQ_get0_pubkey(request.get()) : nullptr;
  ERR_clear_error();
  if (evp == nullptr) return false;
  const auto found = public_key_of(evp);
  return found && *found == key;
}

}  // namespace

Result<> write_request(const fs::path& directory, const Request& request) {
  if (auto written = write_file_atomically(directory / key_file, request.token_key_pem, for_devid); !written)
    return written;
  if (auto written = write_file_atomically(directory / csr_file, as_text(request.csr), for_devid); !written)
    return written;
  return write_file_atomically(directory / provenance_file, to_json(request.provenance), for_devid);
}

Result<> rewrite_csr(const fs::path& directory, BytesView csr) {
  return write_file_atomically(directory / csr_file, as_text(csr), for_devid);
}

Result<Request> read_request(const fs::path& directory) {
  auto key = read_stored(directory / key_file, size_limit);
  if (!key) return fail(std::move(key.error()));
  if (key->empty()) return fail(corrupt(directory / key_file, "it is empty"));
  const auto csr = read_stored(directory / csr_file, size_limit);
  if (!csr) return fail(csr.error());
  const auto text = read_stored(directory / provenance_file, size_limit);
  if (!text) return fail(text.error());
  auto provenance = parse_provenance(*text);
  if (!provenance) return fail(corrupt(directory / provenance_file, provenance.error().reason));
  if (!is_request_for(as_bytes(*csr), provenance->public_key))
    return fail(corrupt(directory / csr_file, "it is no request for the key beside it"));
  return Request{
      .token_key_pem = std::move(*key), .csr = to_bytes(as_bytes(*csr)), .provenance = std::move(*provenance)};
}

}  // namespace devid::identity
