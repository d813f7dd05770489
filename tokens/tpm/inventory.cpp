#include "tokens/tpm/inventory.h"

#include <algorithm>
#include <array>

#include "tokens/tpm/location.h"
#include "tokens/tpm/nv.h"
#include "tokens/tpm/object.h"
#include "tokens/tpm/public_area.h"
#include "tokens/tpm/resource.h"

namespace devid::tpm {
namespace {

constexpr std::size_t most_keys = 1024;
constexpr TPM2_HANDLE identity_indices = 0x01C90000;  // the TCG's registry of reserved handles: to 0x01C9FFFF
constexpr std::array<TPM2_HANDLE, 3> certificate_indices{0x01C90200, 0x01C90000, 0x01C90100};

Result<PublicKey> signing_key_at(Context& context, TPM2_HANDLE handle) {
  const auto tr = open_handle(context, handle);
  if (!tr) return fail(tr.error());
  const PersistentObject object(context, *tr);
  const auto area = public_area_of(context, object.tr());
  if (!area) return fail(area.error());
  if (auto usable = require_signing_key(area->publicArea); !usable) return fail(std::move(usable.error()));
  return public_key_from(area->publicArea);
}

}  // namespace

Result<std::vector<KeyListing>> list_persistent_keys(Connection& connection) {
  Context& context = connection.context();
  const auto handles = context.handles_from(TPM2_PERSISTENT_FIRST);
  if (!handles) return fail(handles.error());
  std::vector<KeyListing> keys;
  for (const TPM2_HANDLE handle : *handles) {
    if (keys.size() == most_keys) break;
    auto key = signing_key_at(context, handle);
    if (!key && context.lost()) return fail(std::move(key.error()));
    if (!key && key.error().code == Errc::token_no_such_key) continue;  // evicted meanwhile
    keys.push_back({.location = handle_location(handle), .public_key = std::move(key)});
  }
  return keys;
}

Result<std::vector<CertificateListing>> list_identity_certificates(Connection& connection) {
  Context& context = connection.context();
  const auto defined = context.handles_from(identity_indices);
  if (!defined) return fail(defined.error());
  std::vector<CertificateListing> certificates;
  for (const TPM2_HANDLE index : certificate_indices) {
    if (!std::ranges::binary_search(*defined, index)) continue;
    auto content = read_nv(connection, index);
    if (!content && context.lost()) return fail(std::move(content.error()));
    certificates.push_back({.location = index_location(index), .content = std::move(content)});
  }
  return certificates;
}

}  // namespace devid::tpm
