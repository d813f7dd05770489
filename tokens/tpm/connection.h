#pragma once

#include <tss2/tss2_tpm2_types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "tokens/tpm/context.h"
#include "tokens/tpm/object.h"
#include "tokens/tpm/session.h"
#include "tokens/tpm/tss2_pem.h"

namespace devid::tpm {

/// One connection to the TPM and what it remembers, to spare commands: the storage root key, the session, one loaded
/// key, and the handles of persistent keys. What turns out to be no longer so is forgotten; take_stale() then says that
/// the same operation is worth doing again.
class Connection {
 public:
  /// Sends nothing yet.
  static Result<std::unique_ptr<Connection>> open(const std::string& tcti);

  Context& context() { return *context_; }

  /// TPM2_Create beneath the storage root key. Nothing stays in the TPM.
  Result<KeyBlob> create(const TPM2B_PUBLIC& form);

  /// What is at a persistent handle now, and remembers it for sign_at().
  Result<TPM2B_PUBLIC> read_public(TPM2_HANDLE handle);

  /// TPM2_Sign, with the key loaded if it is not the loaded one.
  Result<TPMT_SIGNATURE> sign(const KeyBlob& key, BytesView digest, const TPMT_SIG_SCHEME& scheme);

  /// TPM2_Sign with a persistent key. Error: token_wrong_key if `expected` is no longer what is there.
  Result<TPMT_SIGNATURE> sign_at(TPM2_HANDLE handle, const TPM2B_PUBLIC& expected, BytesView digest,
                                 const TPMT_SIG_SCHEME& scheme);

  [[nodiscard]] bool has_loaded(const KeyBlob& key) const { return loaded_ && loaded_->key == key; }
  /// Flushes the loaded key, if there is one.
  void unload() { loaded_.reset(); }

  /// Whether something remembered was found to be wrong, and forgotten, since the last call.
  bool take_stale() { return std::exchange(stale_, false); }

 private:
  struct Loaded {
    KeyBlob key;
    TransientObject object;
  };
  struct Known {
    TPM2B_PUBLIC area;
    PersistentObject object;
  };

  explicit Connection(std::unique_ptr<Context> context) : context_(std::move(context)) {}

  Result<ESYS_TR> storage_root();
  Result<Session*> session();
  Result<ESYS_TR> load(const KeyBlob& key);
  Call call_sign(Session& session, ESYS_TR key, BytesView digest, const TPMT_SIG_SCHEME& scheme,
                 Esys<TPMT_SIGNATURE>& signature);

  /// Whether a call failed because the object that it used is not (or no longer) the one that we think.
  bool is_stale(const Call& call, ESYS_TR object);
  bool forget_lost_session(const Call& call);
  void forget_storage_root();

  std::unique_ptr<Context> context_;  // the rest needs it to the end
  std::optional<PersistentObject> storage_root_;
  std::optional<Session> session_;
  std::optional<Loaded> loaded_;
  std::map<TPM2_HANDLE, Known> known_;
  bool stale_ = false;
};

}  // namespace devid::tpm
