#include "tokens/tpm/srk.h"

#include <string>

#include "tokens/tpm/key_template.h"
#include "tokens/tpm/public_area.h"
#include "tokens/tpm/resource.h"
#include "tokens/tpm/tss2_pem.h"

namespace devid::tpm {
namespace {

Call create_primary(Context& context, KeyAlgorithm algorithm, ESYS_TR& made) {
  const TPM2B_PUBLIC form = storage_key_template(algorithm);
  const TPM2B_SENSITIVE_CREATE no_auth{};
  const TPM2B_DATA no_data{};
  const TPML_PCR_SELECTION no_pcrs{};
  return context.call("Esys_CreatePrimary", [&](ESYS_CONTEXT* esys) {
    return Esys_CreatePrimary(esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &no_auth, &form,
                              &no_data, &no_pcrs, &made, nullptr, nullptr, nullptr, nullptr);
  });
}

Error cannot_make(const Call& call) {
  Error error = to_error(call);
  if (error.code == Errc::token_auth_failed) {
    error.what = "the owner hierarchy of the TPM has a password";
    error.hint =
        "make the storage root key yourself: tpm2_createprimary -C o -P PASSWORD -G ecc -c srk.ctx "
        "&& tpm2_evictcontrol -C o -P PASSWORD -c srk.ctx 0x81000001";
  }
  return while_doing("make the storage root key", std::move(error));
}

Result<PersistentObject> make(Context& context) {
  ESYS_TR tr = ESYS_TR_NONE;
  Call create = create_primary(context, KeyAlgorithm::ec_p256, tr);
  if (is_unsupported(create.rc)) create = create_primary(context, KeyAlgorithm::rsa_2048, tr);
  if (!create.ok()) return fail(cannot_make(create));
  const TransientObject primary(context, tr);
  ESYS_TR persistent = ESYS_TR_NONE;
  const Call evict = context.call("Esys_EvictControl", [&](ESYS_CONTEXT* esys) {
    return Esys_EvictControl(esys, ESYS_TR_RH_OWNER, primary.tr(), ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                             storage_root_handle, &persistent);
  });
  if (!evict.ok()) return fail(cannot_make(evict));
  return PersistentObject(context, persistent);
}

}  // namespace

Result<PersistentObject> open_storage_root(Context& context) {
  const auto tr = open_handle(context, storage_root_handle);
  if (!tr && tr.error().code == Errc::token_no_such_key) return make(context);
  if (!tr) return fail(while_doing("open the storage root key", tr.error()));
  PersistentObject root(context, *tr);
  const auto area = public_area_of(context, root.tr());
  if (!area) return fail(while_doing("read the storage root key", area.error()));
  if (const auto usable = require_storage_key(area->publicArea); !usable) {
    Error error = usable.error();
    error.reason = error.what;
    error.what = "the key at 0x81000001 cannot be the parent of other keys";
    error.hint =
        "if nothing else uses it, remove it with tpm2_evictcontrol -C o -c 0x81000001: devid then makes a storage root "
        "key";
    return fail(std::move(error));
  }
  return root;
}

}  // namespace devid::tpm
