#include "tokens/pkcs11/ckr.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace devid::pkcs11 {
namespace {

/// What a return value means.
struct Meaning {
  CK_RV rv;
  std::string_view name;
  Errc errc = Errc::token_failed;
  Retry retry = Retry::later;
  const char* what = "the token failed";
  const char* hint = "";
};

constexpr const char* away_hint = "put the token back, and check that its reader or network connection works";
constexpr const char* algorithm_hint = "choose another key algorithm for this token; `devidctl tokens` lists its own";
constexpr const char* memory_hint = "destroy objects that are not needed any more (pkcs11-tool --delete-object)";
constexpr const char* pin_hint =
    "put the right PIN into the credential or file that the configuration names; devid does not try this one again";
constexpr const char* key_hint =
    "it was destroyed by somebody else, or the token was initialized since: enroll again, so that a new key is made";
constexpr const char* writing_hint =
    "take the write protection off by the token's own tool or switch; keys that are in it sign all the same";
constexpr const char* module_hint = "look for a newer version of the module, or use another token";
constexpr const char* locked_hint = "unlock it with the SO PIN by the token's own tool (pkcs11-tool --init-pin)";

// PKCS#11 v2.40, 11.1. What is about a broken session is mended before anybody hears of it, unless it happens again.
constexpr auto meanings = std::to_array<Meaning>({
    {CKR_CANCEL, "CKR_CANCEL"},
    {CKR_HOST_MEMORY, "CKR_HOST_MEMORY", Errc::token_not_ready, Retry::later, "the PKCS#11 module is out of memory"},
    {CKR_SLOT_ID_INVALID, "CKR_SLOT_ID_INVALID", Errc::token_unreachable, Retry::later, "the slot is gone", away_hint},
    {CKR_GENERAL_ERROR, "CKR_GENERAL_ERROR"},
    {CKR_FUNCTION_FAILED, "CKR_FUNCTION_FAILED"},
    {CKR_ARGUMENTS_BAD, "CKR_ARGUMENTS_BAD"},
    {CKR_NO_EVENT, "CKR_NO_EVENT"},
    {CKR_NEED_TO_CREATE_THREADS, "CKR_NEED_TO_CREATE_THREADS"},
    {CKR_CANT_LOCK, "CKR_CANT_LOCK", Errc::token_module, Retry::after_operator,
     "the PKCS#11 module cannot be used by a program with threads", module_hint},
    {CKR_ATTRIBUTE_READ_ONLY, "CKR_ATTRIBUTE_READ_ONLY"},
    {CKR_ATTRIBUTE_SENSITIVE, "CKR_ATTRIBUTE_SENSITIVE"},
    {CKR_ATTRIBUTE_TYPE_INVALID, "CKR_ATTRIBUTE_TYPE_INVALID"},
    {CKR_ATTRIBUTE_VALUE_INVALID, "CKR_ATTRIBUTE_VALUE_INVALID", Errc::token_unsupported, Retry::after_operator,
     "the token does not accept an attribute", algorithm_hint},
    {CKR_DATA_INVALID, "CKR_DATA_INVALID"},
    {CKR_DATA_LEN_RANGE, "CKR_DATA_LEN_RANGE"},
    {CKR_DEVICE_ERROR, "CKR_DEVICE_ERROR"},
    {CKR_DEVICE_MEMORY, "CKR_DEVICE_MEMORY", Errc::token_full, Retry::after_operator, "the token is full", memory_hint},
    {CKR_DEVICE_REMOVED, "CKR_DEVICE_REMOVED", Errc::token_unreachable, Retry::later, "the token was taken away",
     away_hint},
    {CKR_FUNCTION_CANCELED, "CKR_FUNCTION_CANCELED"},
    {CKR_FUNCTION_NOT_SUPPORTED, "CKR_FUNCTION_NOT_SUPPORTED", Errc::token_unsupported, Retry::after_operator,
     "the PKCS#11 module does not have this function", module_hint},
    {CKR_KEY_HANDLE_INVALID, "CKR_KEY_HANDLE_INVALID", Errc::token_no_such_key, Retry::after_operator,
     "the key is not in the token", key_hint},
    {CKR_KEY_SIZE_RANGE, "CKR_KEY_SIZE_RANGE", Errc::token_unsupported, Retry::after_operator,
     "the token does not make or use keys of this size", algorithm_hint},
    {CKR_KEY_TYPE_INCONSISTENT, "CKR_KEY_TYPE_INCONSISTENT", Errc::token_wrong_key, Retry::after_operator,
     "the key is of another kind than it says", module_hint},
    {CKR_KEY_FUNCTION_NOT_PERMITTED, "CKR_KEY_FUNCTION_NOT_PERMITTED", Errc::token_wrong_key, Retry::after_operator,
     "the key may not be used for this", "it needs the attribute CKA_SIGN"},
    {CKR_MECHANISM_INVALID, "CKR_MECHANISM_INVALID", Errc::token_unsupported, Retry::after_operator,
     "the token does not have this mechanism", algorithm_hint},
    {CKR_MECHANISM_PARAM_INVALID, "CKR_MECHANISM_PARAM_INVALID", Errc::token_unsupported, Retry::after_operator,
     "the token does not have this kind of the mechanism", algorithm_hint},
    {CKR_OBJECT_HANDLE_INVALID, "CKR_OBJECT_HANDLE_INVALID", Errc::token_no_such_key, Retry::after_operator,
     "the object is not in the token", key_hint},
    {CKR_OPERATION_ACTIVE, "CKR_OPERATION_ACTIVE"},
    {CKR_OPERATION_NOT_INITIALIZED, "CKR_OPERATION_NOT_INITIALIZED"},
    {CKR_PIN_INCORRECT, "CKR_PIN_INCORRECT", Errc::token_auth_failed, Retry::after_operator,
     "the token refuses the PIN", pin_hint},
    {CKR_PIN_INVALID, "CKR_PIN_INVALID", Errc::token_auth_failed, Retry::after_operator,
     "the PIN has characters that the token does not take", pin_hint},
    {CKR_PIN_LEN_RANGE, "CKR_PIN_LEN_RANGE", Errc::token_auth_failed, Retry::after_operator,
     "the PIN is too short or too long for the token", pin_hint},
    {CKR_PIN_EXPIRED, "CKR_PIN_EXPIRED", Errc::token_auth_failed, Retry::after_operator, "the PIN has expired",
     "set a new one by the token's own tool (pkcs11-tool --change-pin), then give it to devid"},
    {CKR_PIN_LOCKED, "CKR_PIN_LOCKED", Errc::token_locked_out, Retry::after_operator, "the PIN is locked", locked_hint},
    {CKR_SESSION_CLOSED, "CKR_SESSION_CLOSED", Errc::token_unreachable, Retry::later,
     "the token closes devid's sessions"},
    {CKR_SESSION_COUNT, "CKR_SESSION_COUNT", Errc::token_not_ready, Retry::later, "the token has no free session"},
    {CKR_SESSION_HANDLE_INVALID, "CKR_SESSION_HANDLE_INVALID", Errc::token_unreachable, Retry::later,
     "the token closes devid's sessions"},
    {CKR_SESSION_PARALLEL_NOT_SUPPORTED, "CKR_SESSION_PARALLEL_NOT_SUPPORTED"},
    {CKR_SESSION_READ_ONLY, "CKR_SESSION_READ_ONLY", Errc::token_read_only, Retry::after_operator,
     "nothing can be written to the token", writing_hint},
    {CKR_SESSION_EXISTS, "CKR_SESSION_EXISTS"},
    {CKR_SIGNATURE_INVALID, "CKR_SIGNATURE_INVALID"},
    {CKR_SIGNATURE_LEN_RANGE, "CKR_SIGNATURE_LEN_RANGE"},
    {CKR_TEMPLATE_INCOMPLETE, "CKR_TEMPLATE_INCOMPLETE", Errc::token_unsupported, Retry::after_operator,
     "the token wants other attributes for a new object", module_hint},
    {CKR_TEMPLATE_INCONSISTENT, "CKR_TEMPLATE_INCONSISTENT", Errc::token_unsupported, Retry::after_operator,
     "the token wants other attributes for a new object", module_hint},
    {CKR_TOKEN_NOT_PRESENT, "CKR_TOKEN_NOT_PRESENT", Errc::token_unreachable, Retry::later, "the token is not there",
     away_hint},
    {CKR_TOKEN_NOT_RECOGNIZED, "CKR_TOKEN_NOT_RECOGNIZED", Errc::token_unreachable, Retry::later,
     "the PKCS#11 module does not know this kind of token",
     "check that the token is inserted the right way round, and that the module is the one for it"},
    {CKR_TOKEN_WRITE_PROTECTED, "CKR_TOKEN_WRITE_PROTECTED", Errc::token_read_only, Retry::after_operator,
     "the token is write-protected", writing_hint},
    {CKR_USER_ALREADY_LOGGED_IN, "CKR_USER_ALREADY_LOGGED_IN"},
    {CKR_USER_NOT_LOGGED_IN, "CKR_USER_NOT_LOGGED_IN", Errc::token_auth_failed, Retry::after_operator,
     "the token wants a login", "name the PIN: pin of the token in devid.toml, or pin-source in its URI"},
    {CKR_USER_PIN_NOT_INITIALIZED, "CKR_USER_PIN_NOT_INITIALIZED", Errc::token_not_ready, Retry::after_operator,
     "the token has no user PIN yet", "set it by the token's own tool (pkcs11-tool --init-pin)"},
    {CKR_USER_TYPE_INVALID, "CKR_USER_TYPE_INVALID"},
    {CKR_USER_ANOTHER_ALREADY_LOGGED_IN, "CKR_USER_ANOTHER_ALREADY_LOGGED_IN", Errc::token_not_ready, Retry::later,
     "somebody else is logged in to the token"},
    {CKR_USER_TOO_MANY_TYPES, "CKR_USER_TOO_MANY_TYPES", Errc::token_not_ready, Retry::later,
     "others are logged in to the token"},
    {CKR_RANDOM_NO_RNG, "CKR_RANDOM_NO_RNG"},
    {CKR_DOMAIN_PARAMS_INVALID, "CKR_DOMAIN_PARAMS_INVALID", Errc::token_unsupported, Retry::after_operator,
     "the token does not have this curve", algorithm_hint},
    {CKR_CURVE_NOT_SUPPORTED, "CKR_CURVE_NOT_SUPPORTED", Errc::token_unsupported, Retry::after_operator,
     "the token does not have this curve", algorithm_hint},
    {CKR_BUFFER_TOO_SMALL, "CKR_BUFFER_TOO_SMALL"},
    {CKR_INFORMATION_SENSITIVE, "CKR_INFORMATION_SENSITIVE"},
    {CKR_CRYPTOKI_NOT_INITIALIZED, "CKR_CRYPTOKI_NOT_INITIALIZED", Errc::token_not_ready, Retry::later,
     "the PKCS#11 module was finalized by somebody else"},
    {CKR_CRYPTOKI_ALREADY_INITIALIZED, "CKR_CRYPTOKI_ALREADY_INITIALIZED"},
    {CKR_MUTEX_BAD, "CKR_MUTEX_BAD"},
    {CKR_MUTEX_NOT_LOCKED, "CKR_MUTEX_NOT_LOCKED"},
    {CKR_FUNCTION_REJECTED, "CKR_FUNCTION_REJECTED", Errc::token_auth_failed, Retry::after_operator,
     "somebody at the token refused", "confirm the operation at the token, or configure it not to ask"},
});

const Meaning* meaning_of(CK_RV rv) {
  const auto* found = std::ranges::find(meanings, rv, &Meaning::rv);
  return found == meanings.end() ? nullptr : found;
}

}  // namespace

std::string ckr_name(CK_RV rv) {
  if (rv == CKR_OK) return "CKR_OK";
  const Meaning* meaning = meaning_of(rv);
  return meaning != nullptr ? std::string(meaning->name) : fmt::format("0x{:x}", rv);
}

Error to_error(const Call& call) {
  Error error{.code = Errc::token_failed, .retry = Retry::later, .what = "the token failed"};
  if (const Meaning* meaning = meaning_of(call.rv); meaning != nullptr)
    error = {.code = meaning->errc, .retry = meaning->retry, .what = meaning->what, .hint = meaning->hint};
  error.reason = fmt::format("{}: {}", call.name, ckr_name(call.rv));
  return error;
}

bool is_lost(CK_RV rv) {
  switch (rv) {
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SESSION_CLOSED:
    case CKR_DEVICE_REMOVED:
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_TOKEN_NOT_RECOGNIZED:
    case CKR_SLOT_ID_INVALID:
    case CKR_USER_NOT_LOGGED_IN:
    case CKR_OBJECT_HANDLE_INVALID:
    case CKR_KEY_HANDLE_INVALID:
    case CKR_CRYPTOKI_NOT_INITIALIZED:
    case CKR_OPERATION_ACTIVE:
    case CKR_OPERATION_NOT_INITIALIZED:
    case CKR_DEVICE_ERROR:
    case CKR_GENERAL_ERROR:
    case CKR_FUNCTION_FAILED: return true;
    default: return false;
  }
}

bool refuses_pin(CK_RV rv) { return rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID || rv == CKR_PIN_LEN_RANGE; }

bool says_nothing(CK_RV rv) {
  return rv == CKR_GENERAL_ERROR || rv == CKR_FUNCTION_FAILED || rv == CKR_DEVICE_ERROR || rv >= CKR_VENDOR_DEFINED;
}

bool refuses_mechanism(CK_RV rv) { return rv == CKR_MECHANISM_INVALID || rv == CKR_MECHANISM_PARAM_INVALID; }

bool refuses_template(CK_RV rv) {
  return rv == CKR_TEMPLATE_INCONSISTENT || rv == CKR_TEMPLATE_INCOMPLETE || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
         rv == CKR_ATTRIBUTE_VALUE_INVALID || rv == CKR_ATTRIBUTE_READ_ONLY;
}

bool is_missing_object(CK_RV rv) { return rv == CKR_OBJECT_HANDLE_INVALID || rv == CKR_KEY_HANDLE_INVALID; }

}  // namespace devid::pkcs11
