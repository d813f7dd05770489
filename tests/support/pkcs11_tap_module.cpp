// The tap as a PKCS#11 module: a shared object of which C_GetFunctionList is seen. Everything goes through Tapped,
// which counts and fails; the functions with more to them have a forward() of their own.

#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit/pkcs11.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "tests/support/pkcs11_tap_control.h"

namespace devid::test {
namespace {

using Functions = CK_FUNCTION_LIST;

struct Module {
  std::string control_file;
  TapControl* control = nullptr;
  Functions* real = nullptr;
  std::mutex mutex;
  std::map<CK_SESSION_HANDLE, CK_SLOT_ID> sessions;
  pid_t initialized_in = 0;
};

Module& tap() {
  static auto* const module = new Module;  // NOLINT(cppcoreguidelines-owning-memory): a module may be called at exit
  return *module;
}

bool does(ModuleMisbehaviour how) { return (tap().control->misbehaviour & static_cast<std::uint32_t>(how)) != 0; }

bool is_watched() { return tap().control->process == 0 || tap().control->process == ::getpid(); }

bool is_hidden(CK_MECHANISM_TYPE mechanism) {
  return std::ranges::any_of(tap().control->hidden_mechanisms,
                             [mechanism](const auto& it) { return it == std::uint64_t{mechanism} + 1; });
}

void end_sessions() {
  std::set<CK_SLOT_ID> slots;
  for (const auto& [session, slot] : tap().sessions) slots.insert(slot);
  for (const CK_SLOT_ID slot : slots) tap().real->C_CloseAllSessions(slot);
  tap().control->open_sessions -= static_cast<std::int64_t>(tap().sessions.size());
  tap().sessions.clear();
}

constexpr std::int32_t first_function = 0;  // C_Initialize
constexpr std::int32_t last_function = 1;   // C_Finalize

std::optional<CK_RV> injected(std::int32_t function) {
  for (auto& failure : tap().control->failures) {
    // A module that does not end is no failure of a token: that must be asked for by name.
    const bool any = failure.function == TapControl::any_function && function != last_function;
    if (failure.function != function && !any) continue;
    if (failure.after > 0) {
      --failure.after;
      continue;
    }
    const CK_RV rv = failure.rv;
    if (--failure.times == 0) failure.function = TapControl::no_function;
    return rv;
  }
  return std::nullopt;
}

/// What a removed token lets through: the functions of the module, and the look into its slot.
bool needs_token(std::string_view function) {
  static const std::set<std::string_view> without{"C_Initialize",      "C_Finalize",    "C_GetInfo",
                                                  "C_GetFunctionList", "C_GetSlotList", "C_GetSlotInfo"};
  return !without.contains(function);
}

CK_RV without_token(std::string_view function) {
  const bool by_slot = function == "C_GetTokenInfo" || function == "C_OpenSession" ||
                       function.starts_with("C_GetMechanism") || function == "C_CloseAllSessions";
  return by_slot ? CKR_TOKEN_NOT_PRESENT : CKR_DEVICE_REMOVED;
}

std::optional<CK_RV> arrived(std::size_t function) {
  const std::scoped_lock lock(tap().mutex);
  TapControl& control = *tap().control;
  if (control.gone || control.close_sessions.exchange(false)) end_sessions();
  if (needs_token(pkcs11_functions.at(function)) && tap().initialized_in != ::getpid()) ++control.early_calls;
  if (is_watched()) {
    ++control.calls.at(function);
    if (const auto rv = injected(static_cast<std::int32_t>(function))) return rv;
  }
  if (control.gone && needs_token(pkcs11_functions.at(function))) return without_token(pkcs11_functions.at(function));
  return std::nullopt;
}

template <auto Member>
using Is = std::integral_constant<decltype(Member), Member>;

template <auto Member, class... A>
CK_RV forward(Is<Member> /*function*/, A... arguments) {
  return (tap().real->*Member)(arguments...);
}

CK_RV forward(Is<&Functions::C_Initialize> /*function*/, void* arguments) {
  if (does(ModuleMisbehaviour::crash_in_initialize)) std::raise(SIGSEGV);
  while (does(ModuleMisbehaviour::hang_in_initialize)) ::usleep(10'000);
  tap().initialized_in = ::getpid();
  return tap().real->C_Initialize(arguments);
}

CK_RV forward(Is<&Functions::C_Finalize> /*function*/, void* reserved) {
  const std::scoped_lock lock(tap().mutex);
  tap().control->open_sessions -= static_cast<std::int64_t>(tap().sessions.size());
  tap().sessions.clear();
  return tap().real->C_Finalize(reserved);
}

CK_RV forward(Is<&Functions::C_GetFunctionList> /*function*/, Functions** list) { return ::C_GetFunctionList(list); }

constexpr CK_ULONG very_many = 1UL << 31U;

CK_RV forward(Is<&Functions::C_GetSlotList> /*function*/, CK_BBOOL present, CK_SLOT_ID* slots, CK_ULONG* count) {
  const CK_RV rv = tap().real->C_GetSlotList(present, slots, count);
  if (rv == CKR_OK && present != 0 && tap().control->gone) *count = 0;
  if (does(ModuleMisbehaviour::many_slots)) *count = very_many;
  return rv;
}

CK_RV forward(Is<&Functions::C_GetSlotInfo> /*function*/, CK_SLOT_ID slot, CK_SLOT_INFO* info) {
  const CK_RV rv = tap().real->C_GetSlotInfo(slot, info);
  if (tap().control->gone) info->flags &= ~static_cast<CK_FLAGS>(CKF_TOKEN_PRESENT);
  return rv;
}

CK_RV forward(Is<&Functions::C_GetTokenInfo> /*function*/, CK_SLOT_ID slot, CK_TOKEN_INFO* info) {
  const CK_RV rv = tap().real->C_GetTokenInfo(slot, info);
  info->flags |= tap().control->token_flags;
  if (does(ModuleMisbehaviour::unprintable_names)) {
    std::ranges::fill(info->serialNumber, '\x1b');
    std::ranges::fill(info->manufacturerID, '\n');
    std::ranges::fill(info->model, '\xff');
  }
  return rv;
}

CK_RV forward(Is<&Functions::C_GetMechanismList> /*function*/, CK_SLOT_ID slot, CK_MECHANISM_TYPE* list,
              CK_ULONG* count) {
  const CK_RV rv = tap().real->C_GetMechanismList(slot, list, count);
  if (rv == CKR_OK && list != nullptr) {
    const std::span all(list, *count);
    *count -= std::ranges::remove_if(all, is_hidden).size();
  }
  if (does(ModuleMisbehaviour::many_slots)) *count = very_many;
  return rv;
}

CK_RV forward(Is<&Functions::C_GetMechanismInfo> /*function*/, CK_SLOT_ID slot, CK_MECHANISM_TYPE mechanism,
              CK_MECHANISM_INFO* info) {
  if (is_hidden(mechanism)) return CKR_MECHANISM_INVALID;
  return tap().real->C_GetMechanismInfo(slot, mechanism, info);
}

CK_RV forward(Is<&Functions::C_OpenSession> /*function*/, CK_SLOT_ID slot, CK_FLAGS flags, void* application,
              CK_NOTIFY notify, CK_SESSION_HANDLE* session) {
  const std::scoped_lock lock(tap().mutex);
  const CK_RV rv = tap().real->C_OpenSession(slot, flags, application, notify, session);
  if (rv == CKR_OK && tap().sessions.emplace(*session, slot).second) ++tap().control->open_sessions;
  return rv;
}

CK_RV forward(Is<&Functions::C_CloseSession> /*function*/, CK_SESSION_HANDLE session) {
  const std::scoped_lock lock(tap().mutex);
  const CK_RV rv = tap().real->C_CloseSession(session);
  if (rv == CKR_OK && tap().sessions.erase(session) == 1) --tap().control->open_sessions;
  return rv;
}

CK_RV forward(Is<&Functions::C_CloseAllSessions> /*function*/, CK_SLOT_ID slot) {
  const std::scoped_lock lock(tap().mutex);
  const CK_RV rv = tap().real->C_CloseAllSessions(slot);
  if (rv == CKR_OK) {
    tap().control->open_sessions -=
        static_cast<std::int64_t>(std::erase_if(tap().sessions, [slot](const auto& it) { return it.second == slot; }));
  }
  return rv;
}

CK_RV forward(Is<&Functions::C_Login> /*function*/, CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR* pin,
              CK_ULONG size) {
  const CK_RV rv = tap().real->C_Login(session, user, pin, size);
  return rv != CKR_OK && does(ModuleMisbehaviour::vague_logins) ? CKR_FUNCTION_FAILED : rv;
}

CK_RV forward(Is<&Functions::C_FindObjectsInit> /*function*/, CK_SESSION_HANDLE session, CK_ATTRIBUTE* wanted,
              CK_ULONG count) {
  return tap().real->C_FindObjectsInit(session, wanted, does(ModuleMisbehaviour::wide_searches) ? 0 : count);
}

void lie_about(CK_ATTRIBUTE& attribute) {
  if (does(ModuleMisbehaviour::long_attributes)) attribute.ulValueLen = 1UL << 30U;
  if (does(ModuleMisbehaviour::unavailable_attributes)) attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
  if (does(ModuleMisbehaviour::short_attributes)) attribute.ulValueLen = 1;
}

CK_RV forward(Is<&Functions::C_GetAttributeValue> /*function*/, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
              CK_ATTRIBUTE* attributes, CK_ULONG count) {
  CK_RV rv = tap().real->C_GetAttributeValue(session, object, attributes, count);
  for (CK_ATTRIBUTE& attribute : std::span(attributes, count)) {
    const bool there = attribute.pValue != nullptr && attribute.ulValueLen != CK_UNAVAILABLE_INFORMATION;
    if (there && does(ModuleMisbehaviour::garbage_attributes))
      for (auto& octet : std::span(static_cast<unsigned char*>(attribute.pValue), attribute.ulValueLen)) octet ^= 0xffU;
    lie_about(attribute);
  }
  if (does(ModuleMisbehaviour::long_attributes) || does(ModuleMisbehaviour::unavailable_attributes)) rv = CKR_OK;
  return rv;
}

CK_RV forward(Is<&Functions::C_FindObjects> /*function*/, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE* objects,
              CK_ULONG most, CK_ULONG* count) {
  constexpr CK_OBJECT_HANDLE of_nothing = 0x7000;
  const CK_RV rv = tap().real->C_FindObjects(session, objects, most, count);
  if (rv == CKR_OK && does(ModuleMisbehaviour::endless_objects)) {
    std::ranges::fill(std::span(objects, most).subspan(*count), of_nothing);
    *count = most;
  }
  if (does(ModuleMisbehaviour::many_objects)) *count = most + 1000;
  return rv;
}

CK_RV forward(Is<&Functions::C_SignInit> /*function*/, CK_SESSION_HANDLE session, CK_MECHANISM* mechanism,
              CK_OBJECT_HANDLE key) {
  if (is_hidden(mechanism->mechanism)) return CKR_MECHANISM_INVALID;
  return tap().real->C_SignInit(session, mechanism, key);
}

CK_RV forward(Is<&Functions::C_Sign> /*function*/, CK_SESSION_HANDLE session, CK_BYTE* data, CK_ULONG size,
              CK_BYTE* signature, CK_ULONG* signature_size) {
  const CK_RV rv = tap().real->C_Sign(session, data, size, signature, signature_size);
  if (does(ModuleMisbehaviour::short_signatures)) --*signature_size;
  if (does(ModuleMisbehaviour::long_signatures)) *signature_size = 1UL << 30U;
  return rv;
}

/// The template of a private key, as the token that is to misbehave takes it.
std::vector<CK_ATTRIBUTE> disobeyed(CK_ATTRIBUTE* attributes, CK_ULONG count) {
  static CK_BBOOL yes = CK_TRUE;
  std::vector<CK_ATTRIBUTE> changed(attributes, attributes + count);
  if (does(ModuleMisbehaviour::extractable_keys) &&
      std::erase_if(changed, [](const CK_ATTRIBUTE& it) { return it.type == CKA_EXTRACTABLE; }) > 0)
    changed.push_back({.type = CKA_EXTRACTABLE, .pValue = &yes, .ulValueLen = sizeof(yes)});
  return changed;
}

CK_RV forward(Is<&Functions::C_GenerateKeyPair> /*function*/, CK_SESSION_HANDLE session, CK_MECHANISM* mechanism,
              CK_ATTRIBUTE* public_template, CK_ULONG public_count, CK_ATTRIBUTE* private_template,
              CK_ULONG private_count, CK_OBJECT_HANDLE* public_key, CK_OBJECT_HANDLE* private_key) {
  if (is_hidden(mechanism->mechanism)) return CKR_MECHANISM_INVALID;
  auto attributes = disobeyed(private_template, private_count);
  return tap().real->C_GenerateKeyPair(session, mechanism, public_template, public_count, attributes.data(),
                                       attributes.size(), public_key, private_key);
}

CK_RV forward(Is<&Functions::C_CreateObject> /*function*/, CK_SESSION_HANDLE session, CK_ATTRIBUTE* form,
              CK_ULONG count, CK_OBJECT_HANDLE* object) {
  auto attributes = disobeyed(form, count);
  return tap().real->C_CreateObject(session, attributes.data(), attributes.size(), object);
}

CK_RV forward(Is<&Functions::C_UnwrapKey> /*function*/, CK_SESSION_HANDLE session, CK_MECHANISM* mechanism,
              CK_OBJECT_HANDLE key, CK_BYTE* wrapped, CK_ULONG size, CK_ATTRIBUTE* form, CK_ULONG count,
              CK_OBJECT_HANDLE* object) {
  if (is_hidden(mechanism->mechanism)) return CKR_MECHANISM_INVALID;
  auto attributes = disobeyed(form, count);
  return tap().real->C_UnwrapKey(session, mechanism, key, wrapped, size, attributes.data(), attributes.size(), object);
}

/// Follows whichever control file the environment names now: one process may run several tests.
bool load() {
  const char* const file = std::getenv(tap_variable);
  if (file == nullptr) return false;
  if (tap().control_file == file) return tap().real != nullptr;
  const int fd = ::open(file, O_RDWR | O_CLOEXEC);
  if (fd < 0) return false;
  void* const at = ::mmap(nullptr, sizeof(TapControl), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (at == MAP_FAILED) return false;
  if (tap().control != nullptr) ::munmap(tap().control, sizeof(TapControl));
  tap().control = static_cast<TapControl*>(at);
  tap().control_file = file;
  tap().sessions.clear();
  tap().real = nullptr;
  void* const library = ::dlopen(tap().control->module.data(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return false;
  const auto get = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"));
  return get != nullptr && get(&tap().real) == CKR_OK;
}

template <auto Member, std::size_t Number>
struct Tapped;

template <std::size_t Number, class... A, CK_RV (*Functions::*Member)(A...)>
struct Tapped<Member, Number> {
  static CK_RV call(A... arguments) {
    if (Number == first_function && !load()) return CKR_GENERAL_ERROR;
    if (const auto rv = arrived(Number)) return *rv;
    return forward(Is<Member>{}, arguments...);
  }
};

template <auto... Members>
struct InOrder {
  template <std::size_t... Numbers>
  static void fill(Functions& list, std::index_sequence<Numbers...> /*numbers*/) {
    ((list.*Members = &Tapped<Members, Numbers>::call), ...);
  }
  static void fill(Functions& list) {
    static_assert(sizeof...(Members) == pkcs11_functions.size());
    fill(list, std::make_index_sequence<sizeof...(Members)>());
  }
};

using F = Functions;
using AllFunctions =
    InOrder<&F::C_Initialize, &F::C_Finalize, &F::C_GetInfo, &F::C_GetFunctionList, &F::C_GetSlotList,
            &F::C_GetSlotInfo, &F::C_GetTokenInfo, &F::C_GetMechanismList, &F::C_GetMechanismInfo, &F::C_InitToken,
            &F::C_InitPIN, &F::C_SetPIN, &F::C_OpenSession, &F::C_CloseSession, &F::C_CloseAllSessions,
            &F::C_GetSessionInfo, &F::C_GetOperationState, &F::C_SetOperationState, &F::C_Login, &F::C_Logout,
            &F::C_CreateObject, &F::C_CopyObject, &F::C_DestroyObject, &F::C_GetObjectSize, &F::C_GetAttributeValue,
            &F::C_SetAttributeValue, &F::C_FindObjectsInit, &F::C_FindObjects, &F::C_FindObjectsFinal,
            &F::C_EncryptInit, &F::C_Encrypt, &F::C_EncryptUpdate, &F::C_EncryptFinal, &F::C_DecryptInit, &F::C_Decrypt,
            &F::C_DecryptUpdate, &F::C_DecryptFinal, &F::C_DigestInit, &F::C_Digest, &F::C_DigestUpdate,
            &F::C_DigestKey, &F::C_DigestFinal, &F::C_SignInit, &F::C_Sign, &F::C_SignUpdate, &F::C_SignFinal,
            &F::C_SignRecoverInit, &F::C_SignRecover, &F::C_VerifyInit, &F::C_Verify, &F::C_VerifyUpdate,
            &F::C_VerifyFinal, &F::C_VerifyRecoverInit, &F::C_VerifyRecover, &F::C_DigestEncryptUpdate,
            &F::C_DecryptDigestUpdate, &F::C_SignEncryptUpdate, &F::C_DecryptVerifyUpdate, &F::C_GenerateKey,
            &F::C_GenerateKeyPair, &F::C_WrapKey, &F::C_UnwrapKey, &F::C_DeriveKey, &F::C_SeedRandom,
            &F::C_GenerateRandom, &F::C_GetFunctionStatus, &F::C_CancelFunction, &F::C_WaitForSlotEvent>;

}  // namespace
}  // namespace devid::test

extern "C" __attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  static CK_FUNCTION_LIST functions{};
  if (list == nullptr) return CKR_ARGUMENTS_BAD;
  if (!devid::test::load()) return CKR_GENERAL_ERROR;
  functions.version = {.major = 2, .minor = 40};
  devid::test::AllFunctions::fill(functions);
  *list = &functions;
  return CKR_OK;
}
