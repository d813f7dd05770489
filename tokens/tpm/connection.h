#pragma once

#include <tss2/tss2_tpm2_types.h>

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "tokens/authorization.h"
#include "tokens/outside_key.h"
#include "tokens/tpm/auth_value.h"
#include "tokens/tpm/context.h"
#include "tokens/tpm/endorsement.h"
#include "tokens/tpm/key_form.h"
#include "tokens/tpm/object.h"
#include "tokens/tpm/session.h"
#include "tokens/tpm/sign_command.h"
#include "tokens/tpm/storage_root.h"
#include "tokens/tpm/tpm_spec.h"
#include "tokens/tpm/tss2_pem.h"

namespace devid::tpm {

/// One connection to the TPM and what it remembers, to spare commands: storage root keys, the session, one loaded key,
/// and the handles of persistent keys. What turns out to be no longer so is forgotten; take_stale() then says that the
/// same operation is worth doing again.
class Connection {
 public:
  /// Sends nothing yet. Both have to outlive it.
  static Result<std::unique_ptr<Connection>> open(const TpmSpec& spec, RefusedValues& refused);

  Context& context() { return *context_; }

  /// The session that authorizes and encrypts; salted, and kept.
  Result<Session*> session();

  /// The session for what the owner has to authorize; none if nothing of that is secret.
  Result<Session*> owner_session();

  /// Whether a call failed because our session is no longer there, or its handle leads to somebody else's: the same
  /// operation is then worth doing again.
  bool forget_lost_session(const Call& call);

  /// TPM2_Create beneath the storage root key. Nothing stays in the TPM but that.
  Result<KeyBlob> create(KeyAlgorithm algorithm, const KeyAuthorization& authorization);

  /// TPM2_Import beneath the storage root key, encrypted to it. The same stays in the TPM.
  Result<KeyBlob> import_key(const OutsideKey& key, const KeyAuthorization& authorization);

  /// What is at a persistent handle now, and remembers it for sign_at().
  Result<TPM2B_PUBLIC> read_public(TPM2_HANDLE handle);

  /// TPM2_Sign, with the key loaded if it is not the loaded one.
  Result<TPMT_SIGNATURE> sign(const KeyBlob& key, const SignRequest& request);

  /// TPM2_Sign with a persistent key. Error: token_wrong_key if `expected` is no longer what is there.
  Result<TPMT_SIGNATURE> sign_at(TPM2_HANDLE handle, const TPM2B_PUBLIC& expected, const SignRequest& request);

  /// What the TPM derives from a template now. The key takes the place of the loaded one, for sign().
  Result<TPM2B_PUBLIC> derive(const DerivedKey& key);

  /// TPM2_Sign, with the key derived if it is not the loaded one. Error: token_wrong_key if it is no longer `expected`.
  Result<TPMT_SIGNATURE> sign(const DerivedKey& key, const TPM2B_PUBLIC& expected, const SignRequest& request);

  [[nodiscard]] bool has_loaded(const KeyBlob& key) const { return loaded_ && loaded_->key == key; }
  [[nodiscard]] bool has_loaded(const DerivedKey& key) const { return derived_ && derived_->key == key; }
  /// Flushes the loaded key, if there is one.
  void unload() {
    loaded_.reset();
    derived_.reset();
  }
  /// The same, and a storage root key that is not persistent.
  void unload_all();

  /// Whether something remembered was found to be wrong, and forgotten, since the last call.
  bool take_stale() { return std::exchange(stale_, false); }

 private:
  struct Loaded {
    KeyBlob key;
    TransientObject object;
  };
  struct Derived {
    DerivedKey key;
    TPM2B_PUBLIC area;
    TransientObject object;
  };
  struct Known {
    TPM2B_PUBLIC area;
    PersistentObject object;
  };

  Connection(std::unique_ptr<Context> context, const TpmSpec& spec, RefusedValues& refused)
      : context_(std::move(context)), spec_(spec), refused_(refused), endorsement_(*context_, spec.endorsement_auth) {}

  /// What becomes of a storage root key that is not there: whoever only signs with keys of the factory needs none.
  enum class IfAbsent { make, fail };

  [[nodiscard]] TPM2_HANDLE usual_parent() const { return spec_.storage_root.value_or(TPM2_RH_OWNER); }
  Result<ESYS_TR> storage_root(TPM2_HANDLE parent, IfAbsent if_absent = IfAbsent::make);
  Result<StorageRoot> open_or_make(TPM2_HANDLE parent, IfAbsent if_absent);
  Result<StorageRoot> make(TPM2_HANDLE parent);
  /// Notes what a new key was made with, or why it was not.
  Result<KeyBlob> blob_of(const Call& made, TPM2_HANDLE parent, const KeyForm& form, const TPM2B_PUBLIC* public_area,
                          const TPM2B_PRIVATE* private_area);
  Result<ESYS_TR> load(const KeyBlob& key);
  Result<const Derived*> load(const DerivedKey& key);
  Result<TPMT_SIGNATURE> sign_loaded(const KeyBlob& key, ESYS_TR object, const SignRequest& request);
  Result<TPMT_SIGNATURE> sign_with_pcrs(const KeyBlob& key, BytesView policy, ESYS_TR object,
                                        const SignRequest& request);
  Result<Secret> auth_value_of(const KeyBlob& key) const;
  /// With the authorization that a key at a handle wants: an empty auth value, or a policy.
  Result<Call> send_authorized_sign(const Known& known, const SignRequest& request, Esys<TPMT_SIGNATURE>& signature);
  /// Salted with a key that is made for that and forgotten.
  Result<Session*> session_without_root();
  Result<Session> start_policy(TPMI_ALG_HASH hash);
  Result<Session> satisfied_policy(const EndorsementPolicy& policy);

  /// Whether a call failed because the object that it used is not (or no longer) the one that we think.
  bool is_stale(const Call& call, ESYS_TR object);
  bool is_replaced(ESYS_TR object);
  void forget_storage_root(TPM2_HANDLE parent);
  void forget_loaded();
  Error parent_failed(const Call& call, TPM2_HANDLE parent);

  std::unique_ptr<Context> context_;  // the rest needs it to the end
  const TpmSpec& spec_;
  RefusedValues& refused_;
  Endorsement endorsement_;
  std::map<TPM2_HANDLE, StorageRoot> roots_;
  std::optional<Session> session_;
  std::optional<Loaded> loaded_;    // either this
  std::optional<Derived> derived_;  // or that
  std::map<TPM2_HANDLE, Known> known_;
  bool stale_ = false;
};

}  // namespace devid::tpm
