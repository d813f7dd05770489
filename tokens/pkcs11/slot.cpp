#include "tokens/pkcs11/slot.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "tokens/pkcs11/ckr.h"

namespace devid::pkcs11 {
namespace {

constexpr CK_ULONG most_slots = 256;

std::string list_of(const std::vector<Slot>& slots) {
  std::vector<std::string> texts;
  std::ranges::transform(slots, std::back_inserter(texts), slot_text);
  return fmt::format("{}", fmt::join(texts, "; "));
}

Result<std::vector<CK_SLOT_ID>> slot_ids(CK_FUNCTION_LIST& functions) {
  // The first call makes a module look for what was put in or taken away meanwhile (PKCS#11 v2.40, 5.5).
  CK_ULONG count = 0;
  CK_RV rv = functions.C_GetSlotList(CK_TRUE, nullptr, &count);
  std::vector<CK_SLOT_ID> ids;
  for (int attempt = 0; rv == CKR_OK && attempt < 3; ++attempt) {
    ids.resize(std::min(count, most_slots));
    count = ids.size();
    if (ids.empty()) return ids;
    rv = functions.C_GetSlotList(CK_TRUE, ids.data(), &count);
    if (rv == CKR_OK) break;
    if (rv == CKR_BUFFER_TOO_SMALL && ids.size() < most_slots) rv = functions.C_GetSlotList(CK_TRUE, nullptr, &count);
  }
  if (rv != CKR_OK) return fail(to_error({.name = "C_GetSlotList", .rv = rv}));
  ids.resize(std::min<std::size_t>(count, ids.size()));
  return ids;
}

Error none(const std::vector<Slot>& slots, std::string_view unreadable) {
  std::string reason = slots.empty() ? "the module has no token" : "there is: " + list_of(slots);
  if (!unreadable.empty()) reason += fmt::format("; not readable: {}", unreadable);
  return {.code = Errc::token_unreachable,
          .retry = Retry::later,
          .what = "the configured token is not there",
          .reason = std::move(reason),
          .hint = "put the token in, or set the URI to one that is there"};
}

Error several(const std::vector<Slot>& slots) {
  return {.code = Errc::token_ambiguous,
          .retry = Retry::after_operator,
          .what = fmt::format("the URI means {} tokens", slots.size()),
          .reason = list_of(slots),
          .hint = "name one of them by its serial number in the URI: \"pkcs11:token=LABEL;serial=NUMBER\""};
}

Error not_initialized(const Slot& slot) {
  return {.code = Errc::token_not_ready,
          .retry = Retry::after_operator,
          .what = "the token is not initialized",
          .reason = slot_text(slot),
          .hint = "initialize it by its own tool, or with `pkcs11-tool --init-token` and `--init-pin`"};
}

}  // namespace

std::string Slot::identity() const {
  return text_of(token.manufacturerID) + '\n' + text_of(token.model) + '\n' + serial();
}

std::string slot_text(const Slot& slot) {
  return fmt::format("token '{}', serial '{}', manufacturer '{}', slot-id={}{}", printable(text_of(slot.token.label)),
                     printable(slot.serial()), printable(text_of(slot.token.manufacturerID)), slot.id,
                     slot.has(CKF_TOKEN_INITIALIZED) ? "" : ", not initialized");
}

Result<std::vector<Slot>> list_slots(CK_FUNCTION_LIST& functions, std::string& unreadable) {
  const auto ids = slot_ids(functions);
  if (!ids) return fail(ids.error());
  std::vector<Slot> slots;
  for (const CK_SLOT_ID id : *ids) {
    Slot slot{.id = id};
    Call call{.name = "C_GetSlotInfo", .rv = functions.C_GetSlotInfo(id, &slot.info)};
    if (call.rv == CKR_OK) call = {.name = "C_GetTokenInfo", .rv = functions.C_GetTokenInfo(id, &slot.token)};
    if (call.rv == CKR_OK)
      slots.push_back(slot);
    else
      unreadable +=
          fmt::format("{}slot-id={} ({}: {})", unreadable.empty() ? "" : ", ", id, call.name, ckr_name(call.rv));
  }
  return slots;
}

Result<Slot> choose(const std::vector<Slot>& slots, const Uri& uri, std::string_view unreadable) {
  std::vector<Slot> meant;
  std::ranges::copy_if(slots, std::back_inserter(meant),
                       [&](const Slot& slot) { return uri.matches(slot.id, slot.info) && uri.matches(slot.token); });
  const auto ready = [](const Slot& slot) { return slot.has(CKF_TOKEN_INITIALIZED); };
  if (std::ranges::any_of(meant, ready)) std::erase_if(meant, [&](const Slot& slot) { return !ready(slot); });
  if (meant.empty()) return fail(none(slots, unreadable));
  if (meant.size() > 1) return fail(several(meant));
  if (!ready(meant.front())) return fail(not_initialized(meant.front()));
  return meant.front();
}

std::vector<std::string> remarks_of(const CK_TOKEN_INFO& token) {
  struct Remark {
    CK_FLAGS flag;
    const char* text;
  };
  constexpr auto remarks = std::to_array<Remark>({
      {CKF_USER_PIN_LOCKED, "the user PIN is locked"},
      {CKF_USER_PIN_FINAL_TRY, "one wrong user PIN more locks the token"},
      {CKF_USER_PIN_COUNT_LOW, "a wrong user PIN was tried since the last login"},
      {CKF_USER_PIN_TO_BE_CHANGED, "the user PIN has to be changed"},
      {CKF_WRITE_PROTECTED, "the token is write-protected: no key can be made in it"},
      {CKF_PROTECTED_AUTHENTICATION_PATH, "the PIN is entered at the token: devid cannot log in by itself"},
  });
  std::vector<std::string> texts;
  for (const auto& [flag, text] : remarks)
    if ((token.flags & flag) != 0) texts.emplace_back(text);
  if ((token.flags & (CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED)) == CKF_LOGIN_REQUIRED)
    texts.emplace_back("the user PIN is not set yet");
  return texts;
}

}  // namespace devid::pkcs11
