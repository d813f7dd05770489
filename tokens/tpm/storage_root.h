#pragma once

#include <utility>
#include <variant>

#include "base/result.h"
#include "tokens/tpm/context.h"
#include "tokens/tpm/object.h"
#include "tokens/tpm/session.h"

namespace devid::tpm {

/// The parent of devid's keys: an object that is in the TPM for good, or one that was made for now.
class StorageRoot {
 public:
  explicit StorageRoot(PersistentObject object) : object_(std::move(object)) {}
  explicit StorageRoot(TransientObject object) : object_(std::move(object)) {}

  [[nodiscard]] ESYS_TR tr() const {
    return std::visit([](const auto& object) { return object.tr(); }, object_);
  }
  [[nodiscard]] bool is_transient() const { return std::holds_alternative<TransientObject>(object_); }
  /// Another object is at its handle now, or none: that is left alone.
  void abandon() {
    if (auto* transient = std::get_if<TransientObject>(&object_)) transient->abandon();
  }

 private:
  std::variant<PersistentObject, TransientObject> object_;
};

/// How a storage root key is made.
struct Making {
  Session* session = nullptr;  ///< authorizes for the owner, whose auth value ESYS knows; none: that is empty
  const TPM2B_AUTH& auth;      ///< of the new key; without a session, empty
};

/// The storage root key at a persistent handle. Error: token_no_such_key if nothing is there; token_wrong_key if keys
/// cannot be made beneath what is there, which is left alone.
Result<StorageRoot> open_storage_root(Context& context, TPM2_HANDLE handle);

/// Makes it from the TCG's template, at a handle where nothing is.
Result<StorageRoot> make_storage_root(Context& context, TPM2_HANDLE place, const Making& making);

/// Makes the one that other software derives for the parent TPM2_RH_OWNER of a TSS2 PEM: the same template, with an
/// empty unique field. The same key each time, for as long as the TPM is not cleared.
Result<StorageRoot> make_transient_storage_root(Context& context, const Making& making);

/// A storage key of the null hierarchy, that nobody has to be asked for: to salt a session with, and to be forgotten.
Result<TransientObject> make_salt_key(Context& context);

}  // namespace devid::tpm
