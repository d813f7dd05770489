#pragma once

#include <tss2/tss2_esys.h>

#include <functional>
#include <optional>

#include "base/bytes.h"
#include "base/secret_source.h"
#include "tokens/tpm/context.h"
#include "tokens/tpm/idevid_policy.h"
#include "tokens/tpm/object.h"
#include "tokens/tpm/session.h"

namespace devid::tpm {

/// A primary key that is not kept in the TPM, but derived anew from the endorsement seed and a template.
struct DerivedKey {
  Bytes form;  ///< the template: TPM2B_PUBLIC with its size

  bool operator==(const DerivedKey& other) const = default;
};

/// What the authorization of the endorsement hierarchy allows. Its auth value, if it has one, is read when it is
/// needed, and forgotten after the command; the session `guard` keeps it from crossing the bus. An Error is about
/// reading it; what the TPM says is in the Call.
class Endorsement {
 public:
  Endorsement(Context& context, const std::optional<SecretSource>& auth) : context_(context), auth_(auth) {}

  /// TPM2_CreatePrimary: `made` is in a slot of the TPM afterwards.
  Result<Call> create_primary(Session& guard, const TPM2B_PUBLIC& form, ESYS_TR& made, Esys<TPM2B_PUBLIC>& area) const;

  /// TPM2_PolicySecret, and TPM2_PolicyOR if the policy has branches.
  Result<Call> satisfy(Session& guard, const EndorsementPolicy& policy, const Session& policy_session) const;

  /// A failed call of these, with what to do about an auth value.
  [[nodiscard]] Error error_of(const Call& call) const;

 private:
  Result<Call> with_auth(const std::function<Call()>& command) const;

  Context& context_;
  const std::optional<SecretSource>& auth_;
};

}  // namespace devid::tpm
