#pragma once

#include <tss2/tss2_esys.h>

#include <map>
#include <optional>
#include <string_view>

#include "base/secret.h"
#include "base/secret_source.h"
#include "tokens/tpm/context.h"

namespace devid::tpm {

/// An auth value in the form that the TPM takes, wiped when it goes.
class TpmAuth {
 public:
  TpmAuth() = default;
  /// At most as long as the largest digest.
  explicit TpmAuth(const Secret& value);
  TpmAuth(const TpmAuth&) = delete;
  TpmAuth& operator=(const TpmAuth&) = delete;
  TpmAuth(TpmAuth&&) = delete;
  TpmAuth& operator=(TpmAuth&&) = delete;
  ~TpmAuth();

  [[nodiscard]] const TPM2B_AUTH& get() const { return value_; }

 private:
  TPM2B_AUTH value_{};
};

/// Fewer bytes than this may be guessed: such keys are subject to the lockout (noDA clear). It is what devid makes by
/// itself, 128 random bits in hexadecimal, and as long as a value for a Name of SHA-256 may be.
constexpr std::size_t full_entropy = 32;

/// Reads a secret that is to be an auth value of at most `longest` bytes. Errors: those of read_secret();
/// config_invalid if it is longer.
Result<Secret> read_auth_value(const SecretSource& source, std::size_t longest);

/// The same for a new key; a file that is not there is made, with a random value.
Result<Secret> read_or_make_auth_value(const SecretSource& source, std::size_t longest);

/// Tells ESYS the auth value of an object or hierarchy: none configured is the empty one. Sends nothing.
Result<> use_auth_value(Context& context, ESYS_TR object, const std::optional<SecretSource>& source);
Result<> use_auth_value(Context& context, ESYS_TR object, const Secret& value);

/// ESYS keeps a copy of an auth value: this overwrites it with the empty one.
void forget_auth_value(Context& context, ESYS_TR object);

/// Values that the TPM refused for objects that are subject to its lockout: tried once, and not again until they
/// change. `object` is a private area, or what else tells objects apart.
class RefusedValues {
 public:
  [[nodiscard]] bool contains(BytesView object, const Secret& value) const;
  void remember(BytesView object, const Secret& value);

 private:
  std::map<Bytes, Secret> last_;
};

}  // namespace devid::tpm
