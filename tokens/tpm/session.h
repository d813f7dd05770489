#pragma once

#include <tss2/tss2_esys.h>

#include <utility>

#include "tokens/tpm/context.h"

namespace devid::tpm {

/// Which parameters of a command travel encrypted over the bus. The TPM can encrypt the first one only, and only if it
/// is a sized buffer.
enum class Encrypt { nothing, command, command_and_response };

/// A salted session: authorizes commands without sending auth values, shows changed commands and answers, and encrypts
/// parameters with AES-128-CFB. The salt is encrypted to a storage key.
class Session {
 public:
  /// Authorizes with auth values.
  static Result<Session> start(Context& context, ESYS_TR storage_key);
  /// Authorizes by a policy that is still to be satisfied; `hash` is that of the Name of the object to be used.
  static Result<Session> start_policy(Context& context, ESYS_TR storage_key, TPMI_ALG_HASH hash);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  Session(Session&& other) noexcept : context_(other.context_), tr_(std::exchange(other.tr_, ESYS_TR_NONE)) {}
  Session& operator=(Session&&) = delete;
  ~Session();

  /// The session, set up for the next command; it stays alive after it.
  ESYS_TR for_command(Encrypt encrypt);
  /// The same for a command after which the TPM ends the session, if it succeeds: abandon() it then.
  ESYS_TR for_last_command(Encrypt encrypt);

  [[nodiscard]] ESYS_TR tr() const { return tr_; }

  /// Whether the TPM still has it at its handle: one TPM command, which needs no authorization but the session's own.
  bool is_ours();

  /// For a session that the TPM no longer has.
  void abandon();

 private:
  static Result<Session> start(Context& context, ESYS_TR storage_key, TPM2_SE type, TPMI_ALG_HASH hash);
  ESYS_TR with_attributes(TPMA_SESSION attributes);
  Session(Context& context, ESYS_TR tr) : context_(&context), tr_(tr) { context.hold(tr); }

  Context* context_;
  ESYS_TR tr_;
};

}  // namespace devid::tpm
