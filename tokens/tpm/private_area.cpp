#include "tokens/tpm/private_area.h"

#include <tss2/tss2_mu.h>

#include <array>

#include "tokens/tpm/rc.h"

namespace devid::tpm {

Result<Bytes> write_private(const TPM2B_PRIVATE& area) {
  std::array<unsigned char, sizeof(TPM2B_PRIVATE)> buffer{};
  std::size_t size = 0;
  const Call marshal{.name = "Tss2_MU_TPM2B_PRIVATE_Marshal",
                     .rc = Tss2_MU_TPM2B_PRIVATE_Marshal(&area, buffer.data(), buffer.size(), &size)};
  if (!marshal.ok()) return fail(to_error(marshal));
  return to_bytes(buffer.data(), size);
}

Result<TPM2B_PRIVATE> parse_private(BytesView bytes) {
  TPM2B_PRIVATE area{};
  std::size_t offset = 0;
  const Call unmarshal{.name = "Tss2_MU_TPM2B_PRIVATE_Unmarshal",
                       .rc = Tss2_MU_TPM2B_PRIVATE_Unmarshal(as_uchar(bytes), bytes.size(), &offset, &area)};
  if (unmarshal.ok() && offset == bytes.size()) return area;
  return fail({.code = Errc::token_wrong_key,
               .retry = Retry::after_operator,
               .what = "the private area of the key is malformed",
               .reason = unmarshal.ok() ? "there are bytes after its end" : to_error(unmarshal).reason});
}

}  // namespace devid::tpm
