#include "tokens/tpm/storage_root.h"

#include <fmt/format.h>

#include <span>
#include <string>
#include <utility>

#include "base/secret.h"
#include "tokens/tpm/key_template.h"
#include "tokens/tpm/public_area.h"
#include "tokens/tpm/resource.h"

namespace devid::tpm {
namespace {

ESYS_TR authorization(const Making& making, Encrypt encrypt) {
  return making.session == nullptr ? ESYS_TR_PASSWORD : making.session->for_command(encrypt);
}

Error of_owner(const Call& call) {
  Error error = to_error(call);
  if (error.code == Errc::token_auth_failed) {
    error.what = "the owner hierarchy of the TPM has another auth value";
    error.hint =
        "name it in owner_auth of [tpm] in devid.toml, or make the storage root key yourself: tpm2_createprimary -C o "
        "-P PASSWORD -G ecc -c srk.ctx && tpm2_evictcontrol -C o -P PASSWORD -c srk.ctx 0x81000001";
  }
  return while_doing("make the storage root key", std::move(error));
}

Call create_primary(Context& context, ESYS_TR hierarchy, const Making& making, const TPM2B_PUBLIC& form,
                    ESYS_TR& made) {
  TPM2B_SENSITIVE_CREATE sensitive{};
  sensitive.sensitive.userAuth = making.auth;
  const TPM2B_DATA no_data{};
  const TPML_PCR_SELECTION no_pcrs{};
  const Call create = context.call("Esys_CreatePrimary", [&](ESYS_CONTEXT* esys) {
    const ESYS_TR guard = authorization(making, Encrypt::command);
    return Esys_CreatePrimary(esys, hierarchy, guard, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &form, &no_data, &no_pcrs,
                              &made, nullptr, nullptr, nullptr, nullptr);
  });
  wipe(std::as_writable_bytes(std::span(&sensitive, 1)));
  return create;
}

/// A P-256 key, or an RSA-2048 key on a TPM without elliptic curves.
Result<TransientObject> create_storage_key(Context& context, ESYS_TR hierarchy, const Making& making, Unique unique) {
  ESYS_TR tr = ESYS_TR_NONE;
  Call create = create_primary(context, hierarchy, making, storage_key_template(KeyAlgorithm::ec_p256, unique), tr);
  if (is_unsupported(create.rc)) {
    create = create_primary(context, hierarchy, making, storage_key_template(KeyAlgorithm::rsa_2048, unique), tr);
  }
  if (!create.ok()) return fail(of_owner(create));
  return TransientObject(context, tr);
}

}  // namespace

Result<StorageRoot> open_storage_root(Context& context, TPM2_HANDLE handle) {
  const auto tr = open_handle(context, handle);
  if (!tr) return fail(while_doing(fmt::format("open the storage root key at 0x{:08x}", handle), tr.error()));
  PersistentObject root(context, *tr);
  const auto area = public_area_of(context, root.tr());
  if (!area) return fail(while_doing("read the storage root key", area.error()));
  if (const auto usable = require_storage_key(area->publicArea); !usable) {
    Error error = usable.error();
    error.reason = error.what;
    error.what = fmt::format("the key at 0x{:08x} cannot be the parent of other keys", handle);
    error.hint = fmt::format(
        "if nothing else uses it, remove it with tpm2_evictcontrol -C o -c 0x{:08x}: devid then makes a storage root "
        "key; or give srk in [tpm] of devid.toml another handle",
        handle);
    return fail(std::move(error));
  }
  return StorageRoot(std::move(root));
}

Result<StorageRoot> make_storage_root(Context& context, TPM2_HANDLE place, const Making& making) {
  const auto primary = create_storage_key(context, ESYS_TR_RH_OWNER, making, Unique::zeros);
  if (!primary) return fail(primary.error());
  ESYS_TR persistent = ESYS_TR_NONE;
  const Call evict = context.call("Esys_EvictControl", [&](ESYS_CONTEXT* esys) {
    const ESYS_TR owner = authorization(making, Encrypt::nothing);  // its first parameter is a number
    return Esys_EvictControl(esys, ESYS_TR_RH_OWNER, primary->tr(), owner, ESYS_TR_NONE, ESYS_TR_NONE, place,
                             &persistent);
  });
  if (base_code(evict.rc) == TPM2_RC_NV_DEFINED) return open_storage_root(context, place);  // another made it meanwhile
  if (!evict.ok()) return fail(of_owner(evict));
  return StorageRoot(PersistentObject(context, persistent));
}

Result<StorageRoot> make_transient_storage_root(Context& context, const Making& making) {
  auto primary = create_storage_key(context, ESYS_TR_RH_OWNER, making, Unique::empty);
  if (!primary) return fail(std::move(primary.error()));
  return StorageRoot(std::move(*primary));
}

Result<TransientObject> make_salt_key(Context& context) {
  const TPM2B_AUTH no_auth{};
  return create_storage_key(context, ESYS_TR_RH_NULL, {.auth = no_auth}, Unique::empty);
}

}  // namespace devid::tpm
