#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

namespace devid::test {

/// The functions of PKCS#11 2.40, in the order of CK_FUNCTION_LIST.
inline constexpr std::array<std::string_view, 68> pkcs11_functions{"C_Initialize",
                                                                   "C_Finalize",
                                                                   "C_GetInfo",
                                                                   "C_GetFunctionList",
                                                                   "C_GetSlotList",
                                                                   "C_GetSlotInfo",
                                                                   "C_GetTokenInfo",
                                                                   "C_GetMechanismList",
                                                                   "C_GetMechanismInfo",
                                                                   "C_InitToken",
                                                                   "C_InitPIN",
                                                                   "C_SetPIN",
                                                                   "C_OpenSession",
                                                                   "C_CloseSession",
                                                                   "C_CloseAllSessions",
                                                                   "C_GetSessionInfo",
                                                                   "C_GetOperationState",
                                                                   "C_SetOperationState",
                                                                   "C_Login",
                                                                   "C_Logout",
                                                                   "C_CreateObject",
                                                                   "C_CopyObject",
                                                                   "C_DestroyObject",
                                                                   "C_GetObjectSize",
                                                                   "C_GetAttributeValue",
                                                                   "C_SetAttributeValue",
                                                                   "C_FindObjectsInit",
                                                                   "C_FindObjects",
                                                                   "C_FindObjectsFinal",
                                                                   "C_EncryptInit",
                                                                   "C_Encrypt",
                                                                   "C_EncryptUpdate",
                                                                   "C_EncryptFinal",
                                                                   "C_DecryptInit",
                                                                   "C_Decrypt",
                                                                   "C_DecryptUpdate",
                                                                   "C_DecryptFinal",
                                                                   "C_DigestInit",
                                                                   "C_Digest",
                                                                   "C_DigestUpdate",
                                                                   "C_DigestKey",
                                                                   "C_DigestFinal",
                                                                   "C_SignInit",
                                                                   "C_Sign",
                                                                   "C_SignUpdate",
                                                                   "C_SignFinal",
                                                                   "C_SignRecoverInit",
                                                                   "C_SignRecover",
                                                                   "C_VerifyInit",
                                                                   "C_Verify",
                                                                   "C_VerifyUpdate",
                                                                   "C_VerifyFinal",
                                                                   "C_VerifyRecoverInit",
                                                                   "C_VerifyRecover",
                                                                   "C_DigestEncryptUpdate",
                                                                   "C_DecryptDigestUpdate",
                                                                   "C_SignEncryptUpdate",
                                                                   "C_DecryptVerifyUpdate",
                                                                   "C_GenerateKey",
                                                                   "C_GenerateKeyPair",
                                                                   "C_WrapKey",
                                                                   "C_UnwrapKey",
                                                                   "C_DeriveKey",
                                                                   "C_SeedRandom",
                                                                   "C_GenerateRandom",
                                                                   "C_GetFunctionStatus",
                                                                   "C_CancelFunction",
                                                                   "C_WaitForSlotEvent"};

/// How a module may lie, or worse. Each is a bit.
enum class ModuleMisbehaviour : std::uint32_t {
  crash_in_initialize = 1U << 0U,
  hang_in_initialize = 1U << 1U,
  extractable_keys = 1U << 2U,        ///< the token makes and takes keys that can be read
  short_signatures = 1U << 3U,        ///< C_Sign says one octet less than there are
  long_signatures = 1U << 4U,         ///< C_Sign says more octets than the buffer has
  long_attributes = 1U << 5U,         ///< C_GetAttributeValue says 1 GiB, with CKR_OK, whatever the buffer has
  unavailable_attributes = 1U << 6U,  ///< C_GetAttributeValue says CK_UNAVAILABLE_INFORMATION, with CKR_OK
  short_attributes = 1U << 7U,        ///< every attribute has one octet
  garbage_attributes = 1U << 8U,      ///< every octet of every value is inverted
  many_objects = 1U << 9U,            ///< C_FindObjects says more than were asked for
  endless_objects = 1U << 10U,        ///< C_FindObjects never comes to an end
  many_slots = 1U << 11U,             ///< C_GetSlotList and C_GetMechanismList say 2^31, whatever the buffer has
  unprintable_names = 1U << 12U,      ///< serial number, manufacturer and model of the token are escape sequences
  vague_logins = 1U << 13U,           ///< C_Login says CKR_FUNCTION_FAILED, whatever was wrong
  wide_searches = 1U << 14U,          ///< C_FindObjectsInit takes no notice of what is searched for
};

/// What the tap and whoever controls it share: a file that both map. The number of a function is its place in
/// pkcs11_functions.
struct TapControl {
  static constexpr std::size_t most_failures = 8;
  static constexpr std::size_t most_hidden = 8;
  static constexpr std::int32_t no_function = -1;
  static constexpr std::int32_t any_function = -2;

  struct Failure {
    std::atomic<std::int32_t> function = no_function;
    std::atomic<std::uint32_t> after = 0;  ///< calls that pass before
    std::atomic<std::uint32_t> times = 0;
    std::atomic<std::uint64_t> rv = 0;
  };

  std::array<char, 512> module{};  ///< the real one; set before the tap is loaded
  std::atomic<pid_t> process = 0;  ///< whose calls count and fail; 0: everybody's
  std::array<std::atomic<std::uint32_t>, pkcs11_functions.size()> calls{};
  std::array<Failure, most_failures> failures{};
  std::atomic<std::int64_t> open_sessions = 0;
  std::atomic<std::uint32_t> early_calls = 0;  ///< from a process that did not call C_Initialize before
  std::atomic<bool> gone = false;              ///< the token is not in its slot
  std::atomic<bool> close_sessions = false;    ///< once, before the next call
  std::atomic<std::uint32_t> misbehaviour = 0;
  std::atomic<std::uint64_t> token_flags = 0;                               ///< that C_GetTokenInfo adds
  std::array<std::atomic<std::uint64_t>, most_hidden> hidden_mechanisms{};  ///< CKM + 1; 0: none
};

/// The environment variable with the path of the file.
inline constexpr const char* tap_variable = "DEVID_PKCS11_TAP";

}  // namespace devid::test
