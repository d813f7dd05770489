#include "tokens/tpm/resource.h"

#include <tss2/tss2_mu.h>

#include <algorithm>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "tokens/tpm/hash.h"
#include "tokens/tpm/public_area.h"

namespace devid::tpm {
namespace {

/// Whether a Name is that of a public area: nameAlg ‖ H(area) (TPM 2.0 Part 1, 16).
bool is_name_of(const TPM2B_NAME& name, BytesView area) {
  if (name.size <= sizeof(TPMI_ALG_HASH)) return false;
  const auto algorithm = static_cast<TPMI_ALG_HASH>((name.name[0] << 8U) | name.name[1]);
  const Bytes hash = hash_of(algorithm, {area});
  return !hash.empty() &&
         std::ranges::equal(std::as_bytes(std::span(name.name, name.size)).subspan(sizeof(algorithm)), hash);
}

/// The TPM2B_PUBLIC or TPM2B_NV_PUBLIC that ESYS keeps for a handle, marshalled. Esys_TR_Serialize gives it after the
/// handle, the TPM2B_NAME and the kind. That form is ESYS's own and may change: only what the Name proves is believed.
std::optional<Bytes> known_area(Context& context, ESYS_TR tr) {
  unsigned char* raw = nullptr;
  std::size_t size = 0;
  const Call serialize =
      context.call("Esys_TR_Serialize", [&](ESYS_CONTEXT* esys) { return Esys_TR_Serialize(esys, tr, &raw, &size); });
  const Esys<unsigned char> owned(raw);
  if (!serialize.ok()) return std::nullopt;
  std::size_t offset = sizeof(TPM2_HANDLE);
  TPM2B_NAME name{};
  if (Tss2_MU_TPM2B_NAME_Unmarshal(raw, size, &offset, &name) != TSS2_RC_SUCCESS) return std::nullopt;
  constexpr std::size_t kind_size = sizeof(UINT32);
  constexpr std::size_t prefix_size = sizeof(UINT16);
  if (size - offset <= kind_size + prefix_size) return std::nullopt;
  Bytes area = to_bytes(raw + offset + kind_size, size - offset - kind_size);
  if (!is_name_of(name, BytesView(area).subspan(prefix_size))) return std::nullopt;
  return area;
}

std::optional<TPM2B_PUBLIC> known_public_area(Context& context, ESYS_TR object) {
  const auto known = known_area(context, object);
  if (!known) return std::nullopt;
  const auto area = parse_public(*known);
  if (!area) return std::nullopt;
  return *area;
}

std::optional<TPM2B_NV_PUBLIC> known_nv_public(Context& context, ESYS_TR index) {
  const auto known = known_area(context, index);
  if (!known) return std::nullopt;
  TPM2B_NV_PUBLIC area{};
  std::size_t offset = 0;
  const Call unmarshal{
      .name = "Tss2_MU_TPM2B_NV_PUBLIC_Unmarshal",
      .rc = Tss2_MU_TPM2B_NV_PUBLIC_Unmarshal(as_uchar(BytesView(*known)), known->size(), &offset, &area)};
  if (!unmarshal.ok()) return std::nullopt;
  return area;
}

}  // namespace

Result<ESYS_TR> open_handle(Context& context, TPM2_HANDLE handle) {
  ESYS_TR tr = ESYS_TR_NONE;
  const Call open = context.call("Esys_TR_FromTPMPublic", [&](ESYS_CONTEXT* esys) {
    return Esys_TR_FromTPMPublic(esys, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &tr);
  });
  if (!open.ok()) return fail(to_error(open));
  return tr;
}

Result<TPM2B_PUBLIC> public_area_of(Context& context, ESYS_TR object) {
  if (const auto known = known_public_area(context, object)) return *known;
  TPM2B_PUBLIC* raw = nullptr;
  const Call read = context.call("Esys_ReadPublic", [&](ESYS_CONTEXT* esys) {
    return Esys_ReadPublic(esys, object, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &raw, nullptr, nullptr);
  });
  const Esys<TPM2B_PUBLIC> area(raw);
  if (!read.ok()) return fail(to_error(read));
  return *area;
}

Result<TPM2B_NV_PUBLIC> nv_public_of(Context& context, ESYS_TR index) {
  if (const auto known = known_nv_public(context, index)) return *known;
  TPM2B_NV_PUBLIC* raw = nullptr;
  const Call read = context.call("Esys_NV_ReadPublic", [&](ESYS_CONTEXT* esys) {
    return Esys_NV_ReadPublic(esys, index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &raw, nullptr);
  });
  const Esys<TPM2B_NV_PUBLIC> area(raw);
  if (!read.ok()) return fail(to_error(read));
  return *area;
}

Result<bool> is_still_there(Context& context, ESYS_TR object) {
  TPM2B_NAME* raw_expected = nullptr;
  const Call get =
      context.call("Esys_TR_GetName", [&](ESYS_CONTEXT* esys) { return Esys_TR_GetName(esys, object, &raw_expected); });
  const Esys<TPM2B_NAME> expected(raw_expected);
  if (!get.ok()) return fail(to_error(get));
  TPM2B_NAME* raw_found = nullptr;
  const Call read = context.call("Esys_ReadPublic", [&](ESYS_CONTEXT* esys) {
    return Esys_ReadPublic(esys, object, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nullptr, &raw_found, nullptr);
  });
  const Esys<TPM2B_NAME> found(raw_found);
  if (is_missing_object(read.rc)) return false;
  if (!read.ok()) return fail(to_error(read));
  return to_bytes(expected->name, expected->size) == to_bytes(found->name, found->size);
}

}  // namespace devid::tpm
