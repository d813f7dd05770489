#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "tokens/pkcs11/cryptoki.h"
#include "tokens/pkcs11/uri.h"

namespace devid::pkcs11 {

/// A slot with a token in it.
struct Slot {
  CK_SLOT_ID id = 0;
  CK_SLOT_INFO info{};
  CK_TOKEN_INFO token{};

  [[nodiscard]] bool has(CK_FLAGS flag) const { return (token.flags & flag) != 0; }
  [[nodiscard]] std::string serial() const { return text_of(token.serialNumber); }
  /// Which token it is, whatever module leads to it: manufacturer, model and serial number.
  [[nodiscard]] std::string identity() const;
};

/// "token 'dev', serial '0001', manufacturer 'ACME', slot-id=3".
std::string slot_text(const Slot& slot);

/// The tokens that a module has, at most 256. Those that it cannot read are left out, and named in `unreadable`.
Result<std::vector<Slot>> list_slots(CK_FUNCTION_LIST& functions, std::string& unreadable);

/// The one token that a URI means. A token that is not initialized counts only if no other does. Errors:
/// token_unreachable if there is none, token_ambiguous if there are several, both with what is there as the reason;
/// token_not_ready if the token is not initialized.
Result<Slot> choose(const std::vector<Slot>& slots, const Uri& uri, std::string_view unreadable = {});

/// What an operator should know of the token's state.
std::vector<std::string> remarks_of(const CK_TOKEN_INFO& token);

}  // namespace devid::pkcs11
