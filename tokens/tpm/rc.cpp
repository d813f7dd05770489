#include "tokens/tpm/rc.h"

#include <fmt/format.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tpm2_types.h>

#include <algorithm>
#include <array>
#include <string>

namespace devid::tpm {
namespace {

// TPM 2.0 Part 2, 6.6: how a response code is put together.
constexpr TSS2_RC format_one_code = TPM2_RC_FMT1 | 0x3FU;
constexpr TSS2_RC about_a_parameter = TPM2_RC_P;
constexpr TSS2_RC about_a_session = TPM2_RC_S;
constexpr TSS2_RC tpm_code = 0xFFFU;

/// What a code means. `code` is a base code, or a whole one where the number that it carries matters.
struct Meaning {
  TSS2_RC code;
  Errc errc;
  Retry retry;
  const char* what;
  const char* hint;
};

constexpr const char* policy_hint =
    "devid uses a key by its auth value, by a PCR policy that devid made, or by the policy of the TCG for IDevIDs: it "
    "needs the attribute userWithAuth, or one of these";
constexpr const char* listing_hint =
    "tpm2_getcap handles-persistent and tpm2_getcap handles-nv-index list what there is";
constexpr const char* another_tpm_hint =
    "the key was made by another TPM, or this one was cleared since: enroll again, so that a new key is made";
constexpr const char* algorithm_hint = "choose another key algorithm for this TPM; ec-p256 is the one that all have";
constexpr const char* slots_hint =
    "use the kernel's resource manager (device:/dev/tpmrm0), or run tpm2_flushcontext -t -l -s";
constexpr const char* auth_hint =
    "devid knows no auth value for it, or another one: clear the password of the key or hierarchy, or provision it "
    "again";

constexpr const char* another_key_hint =
    "devid needs a key that signs what it is given (attributes sign and userWithAuth, not restricted), by ECDSA or "
    "RSA: "
    "devidctl doctor shows which there are";

constexpr auto meanings = std::to_array<Meaning>({
    // Whole codes.
    {0x184, Errc::token_no_such_key, Retry::after_operator, "the object is not in the TPM", listing_hint},
    {0x2c4, Errc::token_unsupported, Retry::after_operator, "the TPM does not make keys of this kind", algorithm_hint},
    // The TPM's errors.
    {TPM2_RC_INITIALIZE, Errc::token_not_ready, Retry::later, "the TPM has not been started",
     "the firmware does this at boot (TPM2_Startup): update it, or reboot; on a simulator run tpm2_startup -c"},
    {TPM2_RC_FAILURE, Errc::token_failed, Retry::after_operator, "the TPM is in failure mode",
     "switch the device off and on; if that does not help, the TPM is broken"},
    {TPM2_RC_AUTH_TYPE, Errc::token_unsupported, Retry::after_operator,
     "the TPM wants another kind of authorization for this object", policy_hint},
    {TPM2_RC_AUTH_UNAVAILABLE, Errc::token_unsupported, Retry::after_operator,
     "the TPM wants another kind of authorization for this object", policy_hint},
    {TPM2_RC_COMMAND_CODE, Errc::token_unsupported, Retry::after_operator, "the TPM does not know this command",
     "update the firmware of the TPM"},
    {TPM2_RC_NV_UNINITIALIZED, Errc::idevid_missing, Retry::after_operator,
     "the NV index is defined, but nothing was ever written to it", "write the certificate to it, or use a file"},
    {TPM2_RC_NV_AUTHORIZATION, Errc::token_unsupported, Retry::after_operator,
     "the NV index may not be read with this authorization", "use a certificate file instead"},
    {TPM2_RC_NV_LOCKED, Errc::token_not_ready, Retry::after_operator, "the NV index is locked until the next reboot",
     "reboot, or use a certificate file instead"},
    {TPM2_RC_NV_SPACE, Errc::token_failed, Retry::after_operator, "the TPM has no room for another persistent object",
     "list the persistent objects with tpm2_getcap handles-persistent and evict one"},
    {TPM2_RC_NV_DEFINED, Errc::token_failed, Retry::later, "the handle is occupied", ""},
    {TPM2_RC_AUTH_FAIL, Errc::token_auth_failed, Retry::after_operator, "the TPM refuses the auth value", auth_hint},
    {TPM2_RC_BAD_AUTH, Errc::token_auth_failed, Retry::after_operator, "the TPM refuses the auth value", auth_hint},
    {TPM2_RC_POLICY_FAIL, Errc::token_auth_failed, Retry::after_operator, "the policy of the key is not satisfied",
     policy_hint},
    {TPM2_RC_HANDLE, Errc::token_no_such_key, Retry::after_operator, "there is nothing at the handle", listing_hint},
    {TPM2_RC_INTEGRITY, Errc::token_wrong_key, Retry::after_operator, "the key does not belong to this TPM",
     another_tpm_hint},
    {TPM2_RC_BINDING, Errc::token_wrong_key, Retry::after_operator, "the two halves of the key do not fit together",
     another_tpm_hint},
    {TPM2_RC_SIZE, Errc::token_wrong_key, Retry::after_operator, "the TPM finds a malformed structure",
     another_tpm_hint},
    {TPM2_RC_TYPE, Errc::token_wrong_key, Retry::after_operator, "the object is of a kind that does not fit",
     another_key_hint},
    {TPM2_RC_ATTRIBUTES, Errc::token_wrong_key, Retry::after_operator,
     "the object's attributes do not allow what is asked of it", another_key_hint},
    {TPM2_RC_KEY, Errc::token_wrong_key, Retry::after_operator, "the key is not of the kind that the TPM needs here",
     another_key_hint},
    {TPM2_RC_CURVE, Errc::token_unsupported, Retry::after_operator, "the TPM does not have this curve", algorithm_hint},
    {TPM2_RC_HASH, Errc::token_unsupported, Retry::after_operator, "the TPM does not have this hash", algorithm_hint},
    {TPM2_RC_ASYMMETRIC, Errc::token_unsupported, Retry::after_operator, "the TPM does not have this algorithm",
     algorithm_hint},
    {TPM2_RC_SCHEME, Errc::token_unsupported, Retry::after_operator, "the key does not sign with this scheme",
     another_key_hint},
    {TPM2_RC_SYMMETRIC, Errc::token_unsupported, Retry::after_operator, "the TPM does not have AES-128-CFB",
     "devid cannot use this TPM: keep the keys in a PKCS#11 token"},
    {TPM2_RC_MODE, Errc::token_unsupported, Retry::after_operator, "the TPM does not have AES-128-CFB",
     "devid cannot use this TPM: keep the keys in a PKCS#11 token"},
    {TPM2_RC_HIERARCHY, Errc::token_failed, Retry::after_operator, "the hierarchy is disabled",
     "enable the owner hierarchy in the firmware's set-up"},
    // The TPM's warnings.
    {TPM2_RC_OBJECT_MEMORY, Errc::token_not_ready, Retry::later, "the TPM has no free slot for an object", slots_hint},
    {TPM2_RC_OBJECT_HANDLES, Errc::token_not_ready, Retry::later, "the TPM has no free slot for an object", slots_hint},
    {TPM2_RC_SESSION_MEMORY, Errc::token_not_ready, Retry::later, "the TPM has no free slot for a session", slots_hint},
    {TPM2_RC_SESSION_HANDLES, Errc::token_not_ready, Retry::later, "the TPM has no free slot for a session",
     slots_hint},
    {TPM2_RC_LOCKOUT, Errc::token_locked_out, Retry::later, "the TPM refuses authorizations for now",
     "too many wrong auth values were tried: wait (10 minutes is usual), or run tpm2_dictionarylockout "
     "--clear-lockout"},
});

const char* tcti_hint =
    "check that the TPM is there (ls -l /dev/tpmrm0), that its driver is loaded, and that the user devid may open it";

bool from_tpm(TSS2_RC rc) {
  const TSS2_RC layer = rc & TSS2_RC_LAYER_MASK;
  return layer == TSS2_TPM_RC_LAYER || layer == TSS2_RESMGR_TPM_RC_LAYER || layer == TSS2_RESMGR_RC_LAYER;
}

bool is_format_one(TSS2_RC code) { return (code & TPM2_RC_FMT1) != 0; }

const Meaning* meaning_of(TSS2_RC rc) {
  if (!from_tpm(rc)) return nullptr;
  const auto* found = std::ranges::find(meanings, rc & tpm_code, &Meaning::code);
  if (found == meanings.end()) found = std::ranges::find(meanings, base_code(rc), &Meaning::code);
  return found == meanings.end() ? nullptr : found;
}

std::string reason_of(const Call& call) {
  return fmt::format("{}: 0x{:03x} {}", call.name, call.rc, Tss2_RC_Decode(call.rc));
}

}  // namespace

Error to_error(const Call& call) {
  Error error{.code = Errc::token_failed, .retry = Retry::later, .what = "the TPM failed"};
  if (const Meaning* meaning = meaning_of(call.rc); meaning != nullptr) {
    error = {.code = meaning->errc, .retry = meaning->retry, .what = meaning->what, .hint = meaning->hint};
  } else if (is_busy(call.rc)) {
    error = {.code = Errc::token_not_ready, .retry = Retry::later, .what = "the TPM stays busy"};
  } else if (is_lost(call.rc)) {
    error = {
        .code = Errc::token_unreachable, .retry = Retry::later, .what = "cannot talk to the TPM", .hint = tcti_hint};
  } else if (call.rc == TSS2_ESYS_RC_RSP_AUTH_FAILED) {
    error.what = "the answer of the TPM was changed on its way";
    error.hint = "somebody may be tampering with the bus to the TPM; if it happens again, take the device apart";
  }
  error.reason = reason_of(call);
  return error;
}

TSS2_RC base_code(TSS2_RC rc) {
  if (!from_tpm(rc)) return TSS2_RC_SUCCESS;
  const TSS2_RC code = rc & tpm_code;
  return is_format_one(code) ? code & format_one_code : code;
}

bool is_busy(TSS2_RC rc) {
  switch (base_code(rc)) {
    case TPM2_RC_MEMORY:
    case TPM2_RC_YIELDED:
    case TPM2_RC_CANCELED:
    case TPM2_RC_TESTING:
    case TPM2_RC_NV_RATE:
    case TPM2_RC_RETRY:
    case TPM2_RC_NV_UNAVAILABLE: return true;
    default: return false;
  }
}

bool is_out_of_slots(TSS2_RC rc) {
  switch (base_code(rc)) {
    case TPM2_RC_OBJECT_MEMORY:
    case TPM2_RC_OBJECT_HANDLES:
    case TPM2_RC_SESSION_MEMORY:
    case TPM2_RC_SESSION_HANDLES: return true;
    default: return false;
  }
}

bool is_lost(TSS2_RC rc) {
  // ESYS forgets an object that it knows when it fails to read it once more: then its handle is a bad one.
  return (rc & TSS2_RC_LAYER_MASK) == TSS2_TCTI_RC_LAYER || rc == TSS2_ESYS_RC_BAD_SEQUENCE ||
         rc == TSS2_ESYS_RC_BAD_TR;
}

bool is_missing_session(TSS2_RC rc) {
  const TSS2_RC code = base_code(rc);
  if (code >= TPM2_RC_REFERENCE_S0 && code <= TPM2_RC_REFERENCE_S6) return true;
  // A session of another kind took its slot.
  return is_format_one(rc) && (rc & about_a_parameter) == 0 && (rc & about_a_session) != 0 && code == TPM2_RC_HANDLE;
}

bool is_missing_object(TSS2_RC rc) {
  const TSS2_RC code = base_code(rc);
  if (code >= TPM2_RC_REFERENCE_H0 && code <= TPM2_RC_REFERENCE_H6) return true;
  const bool about_a_handle = is_format_one(rc) && (rc & (about_a_parameter | about_a_session)) == 0;
  return about_a_handle && (code == TPM2_RC_VALUE || code == TPM2_RC_HANDLE);
}

bool is_auth_failure(TSS2_RC rc) {
  const TSS2_RC code = base_code(rc);
  return code == TPM2_RC_AUTH_FAIL || code == TPM2_RC_BAD_AUTH || code == TPM2_RC_POLICY_FAIL;
}

bool is_about_the_request(TSS2_RC rc) { return from_tpm(rc) && is_format_one(rc & tpm_code); }

bool is_unsupported(TSS2_RC rc) {
  const Meaning* meaning = meaning_of(rc);
  return meaning != nullptr && meaning->errc == Errc::token_unsupported;
}

}  // namespace devid::tpm
